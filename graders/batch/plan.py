"""What a batch and its workers tell each other by objects.

======================================  ==================================================================
`submissions/<digest>.tar.gz`           a hand-in, by the digest that gradings know it by
`plans/<plan>/<index>.json`             an `IndexWork`: what the worker of that index grades
`plans/<plan>/plan.json`                a `Plan`: whose work the indexes are
`packs/<sha256>.tar.gz`                 a report with its bundle, by the digest of its bytes
`results/<work>/<done|open>.<id>.json`  a `ResultMarker`, written last: the pack it names is whole
======================================  ==================================================================
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graders.batch.objects import ObjectPlace
from graders.batch.work import Work
from graders.gradekey import GradeKey
from graders.model import Verdict

RESULTS = "results"
MOST_DOCUMENT_BYTES = 4 << 20
MOST_PACK_BYTES = 1 << 30

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
WorkId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Learner = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")]


class _ObjectDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def content(self) -> bytes:
        """As an object has it: the same bytes for the same values."""
        return self.model_dump_json(by_alias=True).encode()


class Keys(_ObjectDocument):
    """A grade key."""

    record: Hex
    judge: Hex
    score: Hex

    @classmethod
    def of(cls, key: GradeKey) -> Keys:
        """The same key."""
        return cls(record=key.record, judge=key.judge, score=key.score)

    def differing(self, other: Keys) -> str:
        """Which parts another key has otherwise, in words."""
        mine, others = self.model_dump(), other.model_dump()
        return " and ".join(name for name in mine if mine[name] != others[name])


class IndexWork(_ObjectDocument):
    """What one worker grades. `submission` is the digest of the hand-in, `packed` of the object's bytes."""

    schema_: Annotated[Literal["kubeproof/assignment/v1"], Field(alias="schema")] = "kubeproof/assignment/v1"
    work: WorkId
    lab: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")]
    provider: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")]
    learner_id: Learner
    submission: Annotated[str, Field(pattern=r"^[a-z0-9:-]{1,100}$")]
    packed: Hex
    key: Keys
    most_s: Annotated[float, Field(ge=0, le=86400)]


class BatchPlan(_ObjectDocument):
    """The work of each index."""

    schema_: Annotated[Literal["kubeproof/batch-plan/v1"], Field(alias="schema")] = "kubeproof/batch-plan/v1"
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
    works: Annotated[tuple[WorkId, ...], Field(min_length=1, max_length=100_000)]


class ResultMarker(_ObjectDocument):
    """What came of a work. Without `pack` no report came of it, and `problem` says why."""

    schema_: Annotated[Literal["kubeproof/result/v1"], Field(alias="schema")] = "kubeproof/result/v1"
    work: WorkId
    key: Keys
    verdict: Verdict
    problem: Annotated[str, Field(max_length=20_000)] = ""
    pack: Hex | None = None
    pack_bytes: Annotated[int, Field(ge=0, le=MOST_PACK_BYTES)] = 0
    bundle_digest: Annotated[str, Field(max_length=200)] | None = None
    worker: Annotated[str, Field(max_length=300)] = ""

    @property
    def done(self) -> bool:
        """Whether the work needs no other worker."""
        return self.verdict is not Verdict.UNGRADED

    @property
    def name(self) -> str:
        """The object that it is."""
        state = "done" if self.done else "open"
        return f"{results_of(self.work)}/{state}.{hashlib.sha256(self.content()).hexdigest()[:16]}.json"


def results_of(work: str) -> str:
    """The folder of a work's markers."""
    return f"{RESULTS}/{work}"


def is_done(marker: str) -> bool:
    """Whether a marker's name says that its work needs no other worker."""
    return marker.rpartition("/")[2].startswith("done.")


D = TypeVar("D", bound=_ObjectDocument)


def read_document(place: ObjectPlace, name: str, kind: type[D]) -> D | None:
    """The document of that name; None where there is none, or what is there is not one.

    Raises:
        InfraFault: the place is out of reach.
    """
    content = place.read(name, MOST_DOCUMENT_BYTES)
    try:
        return None if content is None else kind.model_validate_json(content)
    except ValidationError:
        return None


def work_id(work: Work) -> str:
    """Names a work in a place for objects: whose, and all that the grade depends on."""
    parts = (work.hand_in.learner_id, work.key.record, work.key.judge, work.key.score)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def plan_of(lab: str, works: list[str]) -> BatchPlan:
    """The plan of these works: the same name for the same."""
    digest = hashlib.sha256("\n".join(works).encode()).hexdigest()[:16]
    return BatchPlan(name=f"{lab.replace('_', '-')[:20].strip('-')}-{digest}", works=tuple(works))


def submission_object(digest: str) -> str:
    """The object that a hand-in of that digest is."""
    return f"submissions/{digest.rpartition(':')[2]}.tar.gz"


def assignment_object(plan: str, index: int) -> str:
    """The object that says what the worker of an index grades."""
    return f"plans/{plan}/{index}.json"


def plan_object(plan: str) -> str:
    """The object that a plan is."""
    return f"plans/{plan}/plan.json"


def pack_object(sha256: str) -> str:
    """The object that a pack of that digest is."""
    return f"packs/{sha256}.tar.gz"
