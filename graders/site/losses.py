"""What a class loses most, and why: losses by check, reasons that differ in details alone told together."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from graders.gradebook.model import GradeState, LabGrade, Loss
from graders.model import Status
from graders.reports.text import one_line

SHOWN_REASONS = 4
_QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"|'[^']*'")
_NUMBERED = re.compile(r"[\w.-]*\d[\w.-]*")


@dataclass(frozen=True)
class SeenReason:
    """What was seen, in the words of one of those it happened to, and to whom."""

    example: str
    learners: tuple[str, ...]


@dataclass(frozen=True)
class CommonLoss:
    """A check that learners fail; `points` are what it cost all of them together."""

    check: str
    title: str
    hint: str
    learners: tuple[str, ...]
    points: Decimal
    reasons: tuple[SeenReason, ...]
    more_reasons: int
    blocked: int
    """How many others never got as far, because something it builds on failed."""


def common_losses(grades: Iterable[LabGrade]) -> tuple[CommonLoss, ...]:
    """Losses of graded learners by check, the most frequent first."""
    failed: dict[str, list[tuple[LabGrade, Loss]]] = defaultdict(list)
    blocked: dict[str, int] = defaultdict(int)
    for grade in grades:
        if grade.state is GradeState.GRADED:
            for loss in grade.losses:
                if loss.status is Status.FAILED:
                    failed[loss.check].append((grade, loss))
                elif loss.status is Status.BLOCKED:
                    blocked[loss.check] += 1
    found = [_common(check, met, blocked[check]) for check, met in failed.items()]
    return tuple(sorted(found, key=lambda one: (-len(one.learners), -one.points, one.check)))


def _common(check: str, met: list[tuple[LabGrade, Loss]], blocked: int) -> CommonLoss:
    by_shape: dict[str, list[tuple[LabGrade, Loss]]] = defaultdict(list)
    for grade, loss in met:
        by_shape[shape(loss.observed)].append((grade, loss))
    groups = sorted(by_shape.values(), key=len, reverse=True)
    reasons = tuple(
        SeenReason(
            one_line(group[0][1].observed or "nothing was recorded", 300),
            tuple(grade.learner_id for grade, _ in group),
        )
        for group in groups[:SHOWN_REASONS]
    )
    return CommonLoss(
        check=check,
        title=one_line(met[0][1].title or check),
        hint=one_line(met[0][1].hint, 300),
        learners=tuple(grade.learner_id for grade, _ in met),
        points=sum((_lost(grade, loss) for grade, loss in met), Decimal(0)),
        reasons=reasons,
        more_reasons=max(len(groups) - SHOWN_REASONS, 0),
        blocked=blocked,
    )


def shape(text: str) -> str:
    """A reason without what differs between learners: what is quoted, and all that has a digit in it."""
    return _NUMBERED.sub("#", _QUOTED.sub("#", one_line(text, 500))).casefold()


def _lost(grade: LabGrade, loss: Loss) -> Decimal:
    return sum(
        (
            one.points - one.earned
            for one in grade.criteria
            if one.id in loss.criteria and one.earned is not None
        ),
        Decimal(0),
    )
