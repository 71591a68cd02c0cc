"""The report: front matter, and the headings of a postmortem."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from graders.documents import Strict, parse
from graders.documents.document import Document
from graders.documents.fields import Bounds, Digest, Seconds, Stamp, Text
from graders.documents.frontmatter import front_matter
from graders.documents.markdown import Section, sections
from graders.faults import Unmet
from graders.lab3.documents.handedin import Lab3Files
from graders.lab3.names import NOTEBOOK, REPORTS
from graders.notebooks.reading import as_markdown

HEADINGS = (
    "Summary", "Impact", "Root Causes", "Trigger", "Resolution", "Detection", "Action Items", "Lessons",
    "Timeline",
)  # fmt: skip
_TAG = "front-matter"


class _Machine(Strict):
    cores: Annotated[int, Field(ge=1)]
    provider: Text


class ReportTarget(Strict):
    """A target as submission.yaml has it."""

    scenario: Text
    rto_s: Seconds
    rpo_s: Seconds


class ReportedExperiment(Strict):
    """What the learner says of one experiment."""

    id: Text
    file: Text
    sha256: Digest
    hypothesis: Text
    fault: Text
    abort_condition: Text
    outcome: Literal["upheld", "deviated", "void"]
    journal: Text
    started: Stamp
    finished: Stamp


class ReportedRecovery(Strict):
    """What the learner says of one recovery."""

    scenario: Text
    evidence: Text
    sha256: Digest
    rto_s: Bounds
    rpo_s: Bounds
    records_lost: Annotated[int, Field(ge=0)]
    backup_id: str
    probe_interval_s: Seconds
    stabilisation_s: Seconds
    met: bool


class ReportedFinding(Strict):
    """One thing that was found; `source` is an experiment, a scenario or an audit."""

    id: Text
    source: Text
    severity: Literal["S1", "S2", "S3", "S4"]
    detection: Text
    trigger: Text
    root_cause: Text
    impact: Text


class FrontMatter(Strict):
    """The front matter of a report."""

    declared: Annotated[Literal["kubeproof/lab3-report/v1"], Field(alias="schema")]
    machine: _Machine
    targets: list[ReportTarget]
    experiments: list[ReportedExperiment]
    recoveries: list[ReportedRecovery]
    findings: Annotated[list[ReportedFinding], Field(min_length=1)]


@dataclass(frozen=True)
class Report:
    """A report as it was handed in; `document` says on which line something stands."""

    file: str
    front: FrontMatter
    document: Document
    sections: tuple[Section, ...]


def read_report(handin: Lab3Files) -> Report:
    """The report of a hand-in.

    Raises:
        Unmet: there is none. LocatedError: its front matter is not what it should be.
    """
    there = [name for name in REPORTS if name in handin.files]
    if len(there) != 1:
        raise Unmet(
            f"one report, {' or '.join(REPORTS)}",
            "there are both" if there else "there is none",
            hint="Hand in one of the two, with the front matter and the headings that the lab text names.",
        )
    file = there[0]
    text = handin.text(file) if file != NOTEBOOK else as_markdown(handin.executed, NOTEBOOK, _TAG)
    document, body = front_matter(text, file)
    return Report(file, parse(document, FrontMatter), document, tuple(sections(body)))
