"""What every exporter is: one file of a report folder, made from a report and perhaps its bundle."""

from typing import Protocol

from graders.evidence.bundle import Bundle
from graders.model import GradeReport


class Exporter(Protocol):
    """Renders one file; pure, and safe whatever texts the report holds."""

    @property
    def name(self) -> str:
        """What callers ask for: `json`, `html`, `junit`."""

    @property
    def file_name(self) -> str:
        """The file's name in the report folder."""

    def render(self, report: GradeReport, bundle: Bundle | None) -> str:
        """The file's whole text, to be stored as UTF-8; empty when this report needs no such file."""
