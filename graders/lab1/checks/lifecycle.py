"""Sizes and pauses."""

from collections.abc import Mapping

from graders.evidence.bundle import Bundle
from graders.judging import Facts, Findings, check
from graders.lab1.api import index_of, is_terminating, is_true, phase, status_field
from graders.lab1.checks.endings import expect_service
from graders.lab1.trackrecord import index_name, track_record


@check(
    "scaling",
    tracks=("scaling",),
    hint="On a change of numNodes, remove the highest indices or add the next.",
)
def check_scaling(bundle: Bundle, facts: Facts) -> None:
    """Pods follow numNodes; the highest indices go first and the others stay untouched."""
    story = track_record(bundle, "scaling")
    before, shrunk = story.mark("before-scale", 0).data["pods"], story.mark("before-scale", 1).data["pods"]
    end = story.mark("end").data["pods"]
    with Findings() as found:
        indices = _indices(before)
        few, more = (int(mark.data["nodes"]) for mark in story.all("scale")[:2])
        found.equal(f"indices after scaling to {few}:", indices[:few], _indices(shrunk))
        found.equal(f"indices after scaling to {more}:", indices[:more], _indices(end))
        lowest = {
            pod["uid"] for name, pod in before.items() if index_name(name, pod["index"]) in indices[:few]
        }
        for moment in (shrunk, end):
            found.expect(
                lowest <= {pod["uid"] for pod in moment.values()},
                "the pods of the lowest indices untouched by scaling",
                "one of them was replaced",
                "Surviving pods stay.",
            )
        creates = len(story.pod_creates("elastic"))
        found.equal("pod creates in all:", len(before) + more - few, creates)
        job = story.job("elastic").last
        found.expect(
            not status_field(job, "restarts"),
            "scaling not counted as restarts",
            f"restarts is {status_field(job, 'restarts')}",
        )
        found.expect(
            not is_true(job, "Failed"),
            "the job not Failed",
            "Failed is True",
            "Deleting a pod is not a failure.",
        )
    facts["pod_creates"] = creates


def _indices(pods: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The indices of a snapshot, lowest first."""
    return sorted(
        (index_name(name, pod["index"]) for name, pod in pods.items()), key=lambda each: (len(each), each)
    )


@check(
    "suspend", tracks=("suspend",), hint="While runPolicy.suspend is true a job has no pods and no startTime."
)
def check_suspend(bundle: Bundle, facts: Facts) -> None:
    """Suspending deletes all pods and clears startTime; resuming starts anew."""
    story = track_record(bundle, "suspend")
    asked, settled = story.mark("suspend").t, story.mark("suspended").t
    resumed = story.mark("resume").t
    starts = [status_field(job, "startTime") for t, job in story.statuses("paused") if t < asked]
    with Findings() as found:
        pods = story.pods("paused") + (story.pods("partly") if story.all("suspend-partly") else [])
        for life in pods:
            alive = life.at(settled)
            found.expect(
                alive is None or is_terminating(alive),
                "every pod deleted by suspend, finished ones too",
                f"{life.name} ({phase(alive) if alive else ''}) was still there",
            )
        expect_service(found, story, "paused", settled, "while it is suspended")
        during = [e.name for e in story.pod_creates("paused") if asked + 1 < e.t < resumed]
        found.expect(not during, "no pod created while suspended", f"created {', '.join(during)}")
        final = story.job("paused").last
        began = status_field(final, "startTime")
        found.expect(began, "a startTime after resume", "startTime is empty")
        found.expect(
            not began or began not in starts,
            "a new startTime after resume",
            f"startTime is {began}, as before the pause",
        )
        found.expect(
            not story.pods("born-suspended") and not story.pod_creates("born-suspended"),
            "no pods for a job that is born suspended",
            "it got pods",
        )
        for mark in story.all("suspend-partly"):
            before = [job for t, job in story.statuses("partly") if t <= mark.t]
            counted = status_field(before[-1], "restarts") if before else None
            found.equal(
                "partly: restarts while suspended, as before",
                counted,
                status_field(story.job("partly").last, "restarts"),
                "Suspending is no failure, and forgives none.",
            )
        for mark in story.all("resume-partly"):
            again = {e.name for e in story.pod_creates("partly") if e.t > mark.t}
            found.equal("partly: pods created by resume, in place of the finished one, too:", 2, len(again))
        for _, job in story.statuses("born-suspended"):
            found.expect(
                not status_field(job, "startTime"),
                "no startTime for a job that never started",
                f"startTime {status_field(job, 'startTime')}",
            )
        back = {
            index_name(life.name, index_of(life.first)) for life in story.pods("paused") if life.gone is None
        }
        found.equal("replica indices of the pods after resume:", 3, len(back))
        found.expect(
            not status_field(final, "restarts"),
            "pods re-created by resume not counted as restarts",
            f"restarts is {status_field(final, 'restarts')}",
        )
    facts["pods_after_resume"] = len(story.pod_creates("paused")) - 3
