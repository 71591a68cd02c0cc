"""Ends, and what is left then."""

from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark, Object
from graders.judging import Facts, Findings, check
from graders.lab1.api import CONDITIONS, is_terminating, is_true, phase, status_field
from graders.lab1.trackrecord import JobsRecord, track_record


@check("completion", tracks=("completion",), hint="A job is Complete when every index has succeeded.")
def check_completion(bundle: Bundle, facts: Facts) -> None:
    """A job is Complete when all its pods succeeded, stays so, and cleans up as cleanPodPolicy says."""
    story = track_record(bundle, "completion")
    last = story.mark("last-succeeds").t
    ended = story.mark("changed-after-end").t
    ending = [("keeps", ended)]
    with Findings() as found:
        for t, job in story.statuses("keeps"):
            if t < last:
                found.expect(
                    not is_true(job, "Complete"),
                    "not Complete before the last pod succeeded",
                    f"Complete was True {last - t:.1f} s before that",
                )
        for name in ("keeps", "cleans"):
            _expect_final(found, story, name)
        for mark in story.all("some-succeeded"):
            _expect_running(found, story, mark)
        for mark in story.all("failed"):
            _expect_final(found, story, "stops")
            _expect_kept(found, story, "stops", "Running", "Complete")
            for policy, name in mark.data["jobs"].items():
                _expect_kept(found, story, name, policy, "Failed")
                _expect_counts(found, story, name)
        for mark in story.all("shrunk"):
            _expect_stopped(found, story, str(mark.data["job"]), mark.t)
        for name in ("keeps", "cleans", "stops"):
            expect_service(found, story, name, story.mark("end").t, "after the end")
        changed = story.all("changed-after-failure") + story.all("grown-after-end")
        ending += [(str(mark.data["job"]), mark.t) for mark in changed]
        final = story.job("keeps").last
        found.equal(
            "keeps: replicaStatuses.succeeded", 3, status_field(final, "replicaStatuses", "succeeded")
        )
        for name, since in ending:
            _expect_left(found, story, name, since)
        deleted = story.mark("delete-pod").data["pod"]
        finished = sorted(life.name for life in story.pods("keeps") if life.name != deleted)
        kept = sorted(life.name for life in story.pods("keeps") if life.gone is None)
        found.equal("pods kept by cleanPodPolicy None:", finished, kept)
    facts["completions"] = 2


def expect_service(found: Findings, story: JobsRecord, name: str, t: float, when: str) -> None:
    """A job's Service stays as long as the job does."""
    services = [life for life in story.histories("services") if life.name == name]
    # Whether there is one at all is the business of creates-pods.
    found.expect(
        not services or any(life.at(t) is not None for life in services),
        f"{name}: its Service there {when}",
        f"{name}: no Service",
        "The Service stays until the job goes.",
    )


def _expect_final(found: Findings, story: JobsRecord, name: str) -> None:
    """Once it is Complete or Failed, the job never says anything else."""
    complete = False
    for _, job in story.statuses(name):
        if complete and not is_true(job, "Complete"):
            found.miss(f"{name} was Complete and then was not", "a terminal state to be final")
        complete = complete or is_true(job, "Complete")
        found.expect(
            not (is_true(job, "Complete") and is_true(job, "Failed")),
            f"{name} either Complete or Failed",
            f"{name} was both",
        )
    final = story.job(name).last
    found.expect(
        status_field(final, "completionTime"),
        f"{name}: completionTime set",
        f"{name}: completionTime is empty",
    )
    found.expect(
        not is_true(final, "Running"), f"{name}: Running False at the end", f"{name}: Running is still True"
    )


def _expect_running(found: Findings, story: JobsRecord, mark: Mark) -> None:
    """A job with pods that succeeded and one at least that runs is Running."""
    states = [job for t, job in story.statuses("keeps") if t <= mark.t]
    found.expect(
        states and is_true(states[-1], "Running"),
        "keeps: Running while some pods have succeeded and the others run",
        f"keeps: Running was not True with {mark.data['succeeded']} of 3 pods succeeded",
        "A pod that has succeeded counts as one that is up.",
    )


def _told(job: Object) -> tuple[list[str], object, object]:
    """What a status says of a job that is over."""
    true = [name for name in CONDITIONS if name != "Suspended" and is_true(job, name)]
    return true, status_field(job, "completionTime"), status_field(job, "restarts") or 0


def _expect_left(found: Findings, story: JobsRecord, name: str, ended: float) -> None:
    """A change of the spec after the end brings nothing back."""
    found.expect(
        not is_true(story.job(name).last, "Suspended"),
        f"{name}, which is over, to stay as it is when suspend is set",
        f"{name}: Suspended became True after the end",
        "After the end a spec change moves observedGeneration only.",
    )
    before, after = story.job(name).at(ended), story.job(name).last
    found.equal(
        f"{name}: conditions, completionTime and restarts after a change of the spec, as before:",
        _told(before or {}),
        _told(after),
        "After the end a spec change moves observedGeneration only.",
    )
    late = [event.name for event in story.pod_creates(name) if event.t > ended]
    found.expect(
        not late,
        "no pod created after the end",
        f"created {', '.join(late)}",
        "A job that is over needs no pods.",
    )


def _expect_kept(found: Findings, story: JobsRecord, name: str, policy: str, end: str) -> None:
    """Finished pods stay, unless the policy is All."""
    pods = story.pods(name)
    finished = {life.uid: life.name for life in pods if phase(life.last) in ("Succeeded", "Failed")}
    left = {life.uid for life in pods if life.gone is None and not is_terminating(life.last)}
    if policy == "All":
        kept = sorted(life.name for life in pods if life.uid in left)
        found.equal(f"{name}: pods left under cleanPodPolicy All, {end}:", "none", ", ".join(kept) or "none")
        return
    gone = sorted(pod for uid, pod in finished.items() if uid not in left)
    found.expect(
        not gone,
        f"{name}: finished pods kept under cleanPodPolicy {policy}, {end}",
        f"{name}: deleted {', '.join(gone)}",
        "Under None and Running only pods that are still active go.",
    )


def _expect_stopped(found: Findings, story: JobsRecord, name: str, t: float) -> None:
    """Under Running, what is still active when the job is Complete goes; what has finished stays."""
    _expect_kept(found, story, name, "Running", "Complete")
    left = [life.name for life in story.pods(name) if (pod := life.at(t)) and not is_terminating(pod)]
    active = sorted(set(left) - {life.name for life in story.pods(name) if phase(life.last) == "Succeeded"})
    found.expect(
        not active,
        f"{name}: nothing left running under cleanPodPolicy Running, Complete since it was made smaller",
        f"{name}: {', '.join(active)} still ran",
        "Look for what still runs at the end, too, whatever its index.",
    )


def _expect_counts(found: Findings, story: JobsRecord, name: str) -> None:
    """What replicaStatuses says of a failed job's finished pods stays, whatever became of them."""
    final = story.job(name).last
    for field in ("succeeded", "failed"):
        found.equal(f"{name}: replicaStatuses.{field}", 1, status_field(final, "replicaStatuses", field))
