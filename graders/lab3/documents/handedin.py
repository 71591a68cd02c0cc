"""What was handed in, as the record has it."""

from functools import cached_property

from graders.evidence.handedin import HandedInFiles
from graders.lab3.handin import Lab3Manifest, manifest_from
from graders.notebooks.records import ExecutedNotebook


class Lab3Files(HandedInFiles):
    """The files of one hand-in, and what submission.yaml says."""

    @cached_property
    def manifest(self) -> Lab3Manifest:
        """What submission.yaml says."""
        return manifest_from(self.bundle.manifest.block)

    @property
    def executed(self) -> ExecutedNotebook | None:
        """The report that is a notebook, as it was executed."""
        return next(iter(self.bundle.records(ExecutedNotebook)), None)
