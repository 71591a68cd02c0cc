"""What a site shows: a class's gradebook, and what stands beside it for each lab. No I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from graders.gradebook.model import GradebookModel


@dataclass(frozen=True)
class SlowWait:
    """One wait of one grading: in which track, for what, and how long."""

    learner_id: str
    track: str
    what: str
    seconds: float


@dataclass(frozen=True)
class LabSources:
    """What learners handed in as text, by learner id and path, and what the course gave them.

    `given` are texts of the starter and of course files by their paths: what is in them is nobody's likeness.
    """

    handed_in: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClassModel:
    """A class for its site; `waits` and `sources` by lab, and either may lack one.

    `report` gives the report page of a learner (lab, learner id) as HTML that is safe by itself, such as
    `HtmlExporter` renders; empty where there is none.
    """

    gradebook: GradebookModel
    waits: Mapping[str, tuple[SlowWait, ...]] = field(default_factory=dict)
    sources: Mapping[str, LabSources] = field(default_factory=dict)
    report: Callable[[str, str], str] | None = None
