"""An operator that died after any of its writes ends where it would have ended anyway."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark
from graders.judging import Facts, Findings, check
from graders.lab1.api import JOB_NAME, REPLICA_INDEX, controller_uid
from graders.lab1.names import MORTAL_JOB, UNDISTURBED
from graders.lab1.trackrecord import JobsRecord, member, track_record


@check(
    "crash-points",
    tracks=("crash-points",),
    hint="Let one write carry each decision, make it before you act on it, and derive names from what is "
    "decided: then whoever comes after a crash finds what to do next.",
)
def check_crash_points(bundle: Bundle, facts: Facts) -> None:
    """Killed after any write, answered or not, the operator ends where it would have ended undisturbed."""
    story = track_record(
        bundle,
        "crash-points",
        hint="The operator was killed after its k-th write in this namespace (answered-k), or before it "
        "heard of its success (swallowed-k), and started again.",
    )
    calm = story.mark("undisturbed").data
    points = {mark.data["part"]: mark for mark in story.all("crash-point")}
    facts["writes of the undisturbed run"] = calm["writes"]
    facts["crash points reached"] = sum(mark.data["reached"] for mark in points.values())
    facts["crash points"] = len(points)
    wanted = _ending(story, UNDISTURBED, calm["outcome"])
    with Findings() as found:
        found.expect(
            facts["crash points reached"],
            "an operator that was killed in the middle of its work",
            "it never came so far",
        )
        for mark in story.all("told"):
            point = points[mark.data["part"]]
            seen = _ending(story, mark.data["part"], mark.data["outcome"])
            for what, undisturbed in wanted.items():
                found.equal(
                    f"{_where(point)}: {what}",
                    undisturbed,
                    seen[what],
                    f"See this one alone: --only crash-points --at {point.data['k']} --keep",
                )


def _where(point: Mark) -> str:
    data = point.data
    if not data["reached"]:
        return f"killed before write {data['k']} came"
    return f"killed after write {data['k']}" + (", its answer lost" if data["swallow"] else "")


def _ending(story: JobsRecord, part: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same, in words: times and uids are left out."""
    space = story.spaces[part]
    pods = story.pods(MORTAL_JOB, space)
    services = [life for life in story.histories("services", space) if life.gone is None]
    creates = story.creates_by_member(MORTAL_JOB, space)
    made = Counter(event.name for event in story.writes("services", "create", space))
    gone = story.gone_by_member(MORTAL_JOB, space)
    owner = story.job(MORTAL_JOB, space).uid
    left = sorted((member(life.last, life.name), life.uid, life) for life in pods if life.gone is None)
    return {
        "status": _shown(outcome),
        "pods left": ", ".join(
            f"{name} {(life.last.get('status') or {}).get('phase')}"
            + ("" if controller_uid(life.last) == owner else " without its owner")
            + f" of {_label(life.last, JOB_NAME)}/{_label(life.last, REPLICA_INDEX)}"
            for name, _, life in left
        ),
        "Services": ", ".join(sorted(life.name for life in services)),
        "creates": _counts(creates + made),
        "pods that went": _counts(gone),
    }


def _label(pod: Mapping[str, Any], name: str) -> str:
    return str((pod["metadata"].get("labels") or {}).get(name, ""))


def _shown(outcome: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in outcome.items())


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} x{count}" for name, count in sorted(counts.items())) or "none"
