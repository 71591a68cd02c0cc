"""What every gradebook exporter is: grades in, whole files out; nothing is written here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from graders.gradebook.model import GradebookModel


@dataclass(frozen=True)
class ExportOptions:
    """What a caller can ask for; a format ignores what does not concern it.

    `worksheet` is a file downloaded from the other system, to be filled. `columns` are its headers where they
    are not English, by the names that `moodle_worksheet` gives. `at` is when all of this is so.
    """

    worksheet: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    at: datetime | None = None


@dataclass(frozen=True)
class Exported:
    """Files by relative name, and `notes` on what the format has no place for.

    A format of one file gives exactly one, under the name it has where the caller gives none.
    """

    files: Mapping[str, bytes]
    notes: tuple[str, ...] = ()


class GradeExporter(Protocol):
    """Renders a gradebook in the format of one other system; pure but for the worksheet it is given."""

    @property
    def name(self) -> str:
        """What callers ask for, as in `--format canvas`."""

    @property
    def about(self) -> str:
        """For whom it is, in one line of help."""

    @property
    def many(self) -> bool:
        """Whether it makes a folder of files instead of one file."""

    @property
    def one_lab(self) -> bool:
        """Whether a file holds one lab only."""

    def render(self, model: GradebookModel, options: ExportOptions) -> Exported:
        """The files; the same for the same gradebook.

        Raises:
            UsageError: learners lack an id that the format needs, and all of them are named; the worksheet is
                missing or no such thing; or the format cannot hold what is asked without changing it.
        """
