"""Compares two reports of one submission: what was handed in, and what is found now."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from graders.reports.text import one_line, points_text

Report = Mapping[str, Any]

_NAMED = 6


def points(report: Report) -> str:
    """The points of a report as a person writes them; its verdict where it has none."""
    if report["total"] is None:
        return str(report["verdict"])
    return f"{points_text(_decimal(report['total']))}/{points_text(_decimal(report['possible']))}"


def differences(claimed: Report, found: Report, tolerance: Decimal = Decimal(0)) -> tuple[str, ...]:
    """In which points the two differ, in words; nothing where they agree to within `tolerance` points."""
    return tuple(_differences(claimed, found, tolerance))


def remarks(claimed: Report, found: Report) -> tuple[str, ...]:
    """What may be behind a difference and is nobody's forgery."""
    names = {
        "rubric_sha256": "another version of the rubric",
        "kubeproof": "another version of kubeproof",
        "provider": "another provider",
        "sandbox": "another sandbox",
    }
    before, now = claimed["provenance"], found["provenance"]
    return tuple(
        f"it was graded with {what} ({one_line(str(before[name]), 40)}, here {one_line(str(now[name]), 40)})"
        for name, what in names.items()
        if name in before and name in now and before[name] != now[name]
    )


def _differences(claimed: Report, found: Report, tolerance: Decimal) -> Iterator[str]:
    if claimed["verdict"] != found["verdict"]:
        yield f"it claims to be {claimed['verdict']}, and is {found['verdict']}"
        return
    if claimed["verdict"] != "graded":
        return
    ours = {each["id"]: each for each in found["criteria"] if not each["planned"]}
    theirs = {each["id"]: each for each in claimed["criteria"] if not each["planned"]}
    total = sum((_decimal(each["earned"]) for each in theirs.values()), Decimal(0))
    if total != _decimal(claimed["total"]):
        yield f"its criteria add up to {points_text(total)} points, and it claims {points(claimed)}"
    changed = [
        f"{one_line(name, 60)} {_earned(theirs.get(name))}, here {_earned(ours.get(name))}"
        for name in sorted(ours.keys() | theirs.keys())
        if _earned(theirs.get(name)) != _earned(ours.get(name))
    ]
    apart = abs(_decimal(claimed["total"]) - _decimal(found["total"]))
    if apart > tolerance or (changed and not tolerance) or claimed["possible"] != found["possible"]:
        more = f", and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        named = f": {'; '.join(changed[:_NAMED])}{more}" if changed else ""
        yield f"it claims {points(claimed)}, and {points(found)} are found{named}"


def _earned(criterion: Mapping[str, Any] | None) -> str:
    if criterion is None:
        return "absent"
    return f"{points_text(_decimal(criterion['earned']))}/{points_text(_decimal(criterion['points']))}"


def _decimal(value: float | None) -> Decimal:
    return Decimal(str(value or 0))
