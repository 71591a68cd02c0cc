"""The rubric applied to outcomes: pure, in exact decimals.

======================================  ====================================================
a criterion's checks                    what it earns
======================================  ====================================================
all PASSED                              its points
one FAILED or BLOCKED                   0
one ERROR                               nothing yet: None, and so is the total
one UNSUPPORTED, none of the above      its points move to `unsupported_to`: to a group's
                                        criteria in proportion to theirs, or to the one of
                                        that id; else they leave `possible`
not all judged                          it is left out
======================================  ====================================================
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from graders.model import Criterion, CriterionScore, Outcome, Rubric, Score, Status

GRAVITY = (Status.ERROR, Status.FAILED, Status.BLOCKED, Status.UNSUPPORTED, Status.PASSED)
"""Statuses, the one that decides a criterion first."""

NOTHING = Decimal(0)


def score(rubric: Rubric, outcomes: Iterable[Outcome], *, capabilities: Iterable[str]) -> Score:
    """Score `outcomes` by `rubric`.

    Planned criteria are listed with no earned points and count for nothing. The points of all others
    listed add up to `possible`.

    Args:
        rubric: what each criterion is worth.
        outcomes: at most one for a check; those the rubric does not name earn nothing.
        capabilities: what the provider can show, for the note where it falls short.

    Raises:
        ValueError: two outcomes for one check.
    """
    by_check: dict[str, Status] = {}
    for outcome in outcomes:
        if outcome.check_id in by_check:
            raise ValueError(f"two outcomes for check {outcome.check_id!r}")
        by_check[outcome.check_id] = outcome.status
    live = [criterion for criterion in rubric.criteria if not criterion.planned]
    judged = {
        criterion.id: min((by_check[name] for name in criterion.checks), key=GRAVITY.index)
        for criterion in live
        if all(name in by_check for name in criterion.checks)
    }
    unsupported = [one for one in live if judged.get(one.id) is Status.UNSUPPORTED]
    shown = [one for one in live if one.id in judged and one not in unsupported]
    points, notes = _moved(unsupported, shown, rubric.groups, sorted(map(str, capabilities)))
    skipped = [one.id for one in live if one.id not in judged]
    if skipped:
        notes.append(f"Not judged in this run, and not counted: {', '.join(skipped)}.")
    criteria = tuple(
        _scored(one, judged.get(one.id), points.get(one.id, NOTHING))
        for one in rubric.criteria
        if one.planned or one.id in judged
    )
    earned = [one.earned for one in criteria if not one.criterion.planned]
    return Score(
        criteria=criteria,
        total=None if None in earned else sum((one for one in earned if one is not None), NOTHING),
        possible=sum(points.values(), NOTHING),
        notes=tuple(notes),
        groups=rubric.groups,
    )


def _scored(criterion: Criterion, status: Status | None, points: Decimal) -> CriterionScore:
    if criterion.planned or status is None:
        return CriterionScore(criterion, criterion.points, None, Status.UNSUPPORTED)
    earned = None if status is Status.ERROR else points if status is Status.PASSED else NOTHING
    return CriterionScore(criterion, points, earned, status)


def _moved(
    unsupported: Sequence[Criterion],
    shown: Sequence[Criterion],
    titles: Mapping[str, str],
    capabilities: Sequence[str],
) -> tuple[dict[str, Decimal], list[str]]:
    """What each shown criterion is worth once the points of the unsupported have moved, and notes."""
    points = {one.id: one.points for one in shown}
    notes = []
    able = f"This provider ({', '.join(capabilities) or 'no capabilities'})"
    for target in dict.fromkeys(one.unsupported_to for one in unsupported):
        giving = [one for one in unsupported if one.unsupported_to == target]
        amount = sum((one.points for one in giving), NOTHING)
        named = ", ".join(one.id for one in giving)
        taking = [one for one in shown if target and one.group == target and one.points]
        taking = taking or [one for one in shown if target and one.id == target and one.points]
        if not taking:
            notes.append(f"{able} cannot show {named}: {amount} points are not counted.")
            continue
        for one, share in zip(taking, _shares(amount, [one.points for one in taking]), strict=True):
            points[one.id] += share
        title = titles.get(target, target)
        notes.append(f"{able} cannot show {named}: {amount} points moved to {title}.")
    return points, notes


def _shares(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """`amount` in proportion to `weights`, in hundredths or finer, adding up to exactly `amount`.

    What rounding leaves over goes to the largest remainders (Hare's method), the earlier at a tie.
    """
    finest = min(int(number.as_tuple().exponent) for number in (amount, *weights, Decimal("0.01")))
    unit = Decimal(1).scaleb(finest)
    whole = int(amount / unit)
    parts = [int(weight / unit) for weight in weights]
    shares = [divmod(whole * part, sum(parts)) for part in parts]
    left = whole - sum(share for share, _ in shares)
    by_remainder = sorted(range(len(parts)), key=lambda place: -shares[place][1])
    extra = set(by_remainder[:left])
    return [(share + (place in extra)) * unit for place, (share, _) in enumerate(shares)]
