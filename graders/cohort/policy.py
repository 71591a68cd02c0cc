"""`course.yaml`: when labs are due, what being late costs, and which attempt counts."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from graders.cohort.instants import DURATION_FIX, MOMENT_FIX, duration, moment
from graders.cohort.roster import Learner, Roster
from graders.documents import Document, Strict, load_document, misfit, parse, read_documents
from graders.faults import UsageError

Attempts = Literal["best", "last"]
Of = Literal["possible", "earned"]


@dataclass(frozen=True)
class LatePolicy:
    """What being late costs.

    `per_day` and `at_most` are per cent of what could be earned, or of what was earned, as `of` says. `bank`
    are the late days that each learner has for all labs together. `grace` costs nothing.
    """

    grace: timedelta = timedelta(0)
    per_day: Decimal = Decimal(0)
    at_most: Decimal = Decimal(100)
    of: Of = "possible"
    bank: int = 0


@dataclass(frozen=True)
class LabPolicy:
    """What holds for one lab; `due` is aware, None for a lab that is never late.

    `canvas` is the number of its assignment in Canvas, None where there is none or it is found by its title.
    """

    due: datetime | None = None
    attempts: Attempts = "best"
    canvas: int | None = None


@dataclass(frozen=True)
class CoursePolicy:
    """The rules of a course."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    attempts: Attempts = "best"
    late: LatePolicy = LatePolicy()
    labs: Mapping[str, LabPolicy] = field(default_factory=dict)

    def lab(self, slug: str) -> LabPolicy:
        """What holds for a lab, also for one that is not named."""
        return self.labs.get(slug, LabPolicy(attempts=self.attempts))

    def due(self, slug: str, learner: Learner) -> datetime | None:
        """When the lab is due for this learner."""
        due = self.lab(slug).due
        granted = learner.extensions.get(slug)
        return granted.apply(due, self.zone) if granted else due

    def bank(self, learner: Learner) -> int:
        """How many late days this learner has."""
        return self.late.bank if learner.late_days is None else learner.late_days


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise misfit(f"there is no time zone {name!r}", "write one such as Europe/Berlin, or UTC") from error
    return name


def _duration(text: str) -> str:
    try:
        duration(text)
    except ValueError as error:
        raise misfit(f'"{text}" {error}', DURATION_FIX) from error
    return text


def _bare(value: object) -> object:
    if isinstance(value, str):
        raise misfit(f'"{value}" is text, not a number', "write the per cent as a bare number, such as 10")
    return value


Percent = Annotated[int | float, BeforeValidator(_bare), Field(ge=0, le=100, allow_inf_nan=False)]


class _LateFile(Strict):
    grace: Annotated[str, AfterValidator(_duration)] = "0m"
    per_day: Percent = 0
    at_most: Percent = 100
    of: Of = "possible"
    bank: Annotated[int, Field(ge=0, le=366)] = 0


class _LabFile(Strict):
    due: str | None = None
    attempts: Attempts | None = None
    canvas: Annotated[int, Field(ge=1, lt=2**63)] | None = None

    @field_validator("due")
    @classmethod
    def _comes(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is not None:
            try:
                moment(text, ZoneInfo((info.context or {}).get("zone", "UTC")))
            except ValueError as error:
                raise misfit(f'"{text}" {error}', MOMENT_FIX) from error
        return text


class _CourseFile(Strict):
    time_zone: Annotated[str, AfterValidator(_zone)]
    attempts: Attempts = "best"
    late: _LateFile = _LateFile()
    labs: dict[str, _LabFile] = Field(default_factory=dict)


def load_policy(path: Path, *, labs: Collection[str] = (), roster: Roster | None = None) -> CoursePolicy:
    """Read a `course.yaml`; where `labs` are given, it may name no other.

    Raises:
        UsageError: it cannot be meant; says line and fix. With a `roster`: an extension there is for a lab
            that is not named, or a moment that never comes on this course's clock.
    """
    document = load_document(path, error=UsageError)
    policy = _parsed(document)
    assignments: dict[int, str] = {}
    for slug, lab in policy.labs.items():
        if labs and slug not in labs:
            raise document.refusal(
                f"there is no lab {slug!r}", ("labs", slug), fix=f"there are: {', '.join(sorted(labs))}"
            )
        if lab.canvas is not None and assignments.setdefault(lab.canvas, slug) != slug:
            raise document.refusal(
                f"{slug} has the Canvas assignment of {assignments[lab.canvas]}, {lab.canvas}",
                ("labs", slug, "canvas"),
                fix="give each lab an assignment of its own: one grade would replace the other",
            )
    for learner in roster.learners if roster else ():
        check_granted(policy, learner)
    return policy


def check_granted(policy: CoursePolicy, learner: Learner) -> None:
    """See that what a learner was granted can be meant in this course.

    Raises:
        UsageError: it cannot.
    """
    for slug, granted in learner.extensions.items():
        problem, fix = "", MOMENT_FIX
        try:
            if granted.apply(policy.lab(slug).due, policy.zone) is None:
                problem, fix = f"{granted} has nothing to add to", f"give {slug} a due date in course.yaml"
        except ValueError as error:
            problem = f"{granted} {error}"
        if problem:
            raise UsageError(f"the roster's extension:{slug} of {learner.learner_id}: {problem}", fix=fix)


def policy_text(policy: CoursePolicy) -> str:
    """The policy as text that `policy_from` reads back to the same, for a store."""
    late = policy.late
    data = {
        "time_zone": policy.zone.key,
        "attempts": policy.attempts,
        "late": {
            "grace": f"{int(late.grace.total_seconds() // 60)}m",
            "per_day": _number(late.per_day),
            "at_most": _number(late.at_most),
            "of": late.of,
            "bank": late.bank,
        },
        "labs": {
            slug: {
                "due": lab.due.strftime("%Y-%m-%d %H:%M:%S") if lab.due else None,
                "attempts": lab.attempts,
                **({"canvas": lab.canvas} if lab.canvas else {}),
            }
            for slug, lab in policy.labs.items()
        },
    }
    return json.dumps(data, indent=1, sort_keys=True)


def policy_from(text: str, shown_as: str) -> CoursePolicy:
    """The policy that `policy_text` wrote.

    Raises:
        UsageError: it is none.
    """
    (document,) = read_documents(text.encode(), shown_as=shown_as, error=UsageError)
    return _parsed(document)


def _parsed(document: Document) -> CoursePolicy:
    given = document.data.get("time_zone") if isinstance(document.data, dict) else None
    try:
        zone = ZoneInfo(str(given)).key if given else "UTC"
    except (KeyError, ValueError, OSError):
        zone = "UTC"
    file = parse(document, _CourseFile, context={"zone": zone})
    there = ZoneInfo(file.time_zone)
    return CoursePolicy(
        zone=there,
        attempts=file.attempts,
        late=LatePolicy(
            grace=duration(file.late.grace),
            per_day=Decimal(str(file.late.per_day)),
            at_most=Decimal(str(file.late.at_most)),
            of=file.late.of,
            bank=file.late.bank,
        ),
        labs={
            slug: LabPolicy(
                moment(lab.due, there) if lab.due else None, lab.attempts or file.attempts, lab.canvas
            )
            for slug, lab in file.labs.items()
        },
    )


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)
