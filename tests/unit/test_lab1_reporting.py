"""Conditions, Events and metrics: each flaw in the record costs exactly its check."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.lab1.tracks.signals import active_jobs
from graders.model import Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Record, Recording, condition, states

CONDITIONS = "conditions"
EVENTS = "events"
METRICS = "metrics"

# --- conditions ------------------------------------------------------------------------------------


def _first(change: Callable[[Record], object]) -> Mutation:
    return lambda r: change(next(states(r.jobs(CONDITIONS, "watched"))))


def _last(change: Callable[[Record], object]) -> Mutation:
    return lambda r: change(r.last(CONDITIONS, "watched"))


def _all(change: Callable[[Record], object]) -> Mutation:
    def mutate(r: Recording) -> None:
        for job in states(r.jobs(CONDITIONS, "watched")):
            change(job)

    return mutate


def _without(kind: str) -> Callable[[Record], object]:
    def change(job: Record) -> None:
        listed = job["status"]["conditions"]
        job["status"]["conditions"] = [each for each in listed if each["type"] != kind]

    return change


def _twice(job: Record) -> None:
    job["status"]["conditions"].append(copy.deepcopy(job["status"]["conditions"][0]))


def _moved(r: Recording) -> None:
    """Suspended is False from the first to the last state; its stamp must not move."""
    for job in list(states(r.jobs(CONDITIONS, "watched")))[3:]:
        condition(job, "Suspended")["lastTransitionTime"] = "2026-01-01T00:00:00Z"


def _both(r: Recording) -> None:
    for job in states(r.jobs(CONDITIONS, "watched")):
        if condition(job, "Restarting")["status"] == "True":
            condition(job, "Running")["status"] = "True"


def _never_restarting(r: Recording) -> None:
    stamp = ""
    for job in states(r.jobs(CONDITIONS, "watched")):
        found = condition(job, "Restarting")
        stamp = stamp or found["lastTransitionTime"]
        found.update(status="False", lastTransitionTime=stamp)


def _generation(value: Callable[[Record, int], object]) -> Mutation:
    def mutate(r: Recording) -> None:
        for nth, job in enumerate(states(r.jobs(CONDITIONS, "watched"))):
            job["status"]["observedGeneration"] = value(job, nth)

    return mutate


def _falls(r: Recording) -> None:
    r.last(CONDITIONS, "watched")["status"]["observedGeneration"] = 1


def _at_settled(nth: int, change: Callable[[Record], object]) -> Mutation:
    """Change the state that the job had when it had settled for the n-th time."""

    def mutate(r: Recording) -> None:
        t = r.mark(CONDITIONS, "settled", nth)["t"]
        before = [s for s in r.seen(CONDITIONS, "mltrainingjobs", "watched") if s["t"] <= t]
        change(before[-1]["object"])

    return mutate


def _restless(r: Recording) -> None:
    """An operator that writes on and on is judged when its time was up."""
    for mark in r.marks:
        if (mark["track"], mark["name"]) == (CONDITIONS, "settled"):
            mark["name"] = "restless"
    _at = next(m for m in r.marks if (m["track"], m["name"]) == (CONDITIONS, "restless"))["t"]
    seen = [s for s in r.seen(CONDITIONS, "mltrainingjobs", "watched") if s["t"] <= _at]
    seen[-1]["object"]["status"]["replicaStatuses"] = {"active": 7}


def _meanwhile(
    nth: int, begin: str, end: str, change: Callable[[Record], object], **data: object
) -> Mutation:
    """The operator came to rest between two marks, and the job was so by then."""

    def mutate(r: Recording) -> None:
        settled = r.mark(CONDITIONS, "settled", nth)
        _at_settled(nth, change)(r)
        for name, after in ((begin, -0.01), (end, 0.01)):
            r.marks.append({**settled, "name": name, "t": settled["t"] + after, "data": data})

    return mutate


def _counts(**counts: int) -> Callable[[Record], object]:
    return lambda job: job["status"].update(replicaStatuses=counts)


def _waiting(running: str, restarting: str) -> Callable[[Record], object]:
    def change(job: Record) -> None:
        _counts(active=1)(job)
        condition(job, "Running").update(status=running)
        condition(job, "Restarting").update(status=restarting)

    return change


def _no_conditions(job: Record) -> None:
    job["status"]["conditions"] = []


def _born_with_less(r: Recording) -> None:
    _without("Failed")(next(states(r.jobs("suspend", "born-suspended"))))


def _started_anew(job: Record) -> None:
    job["status"]["startTime"] = "2036-01-01T00:00:00Z"


CONDITIONS_FLAWS = (
    Flaw(CONDITIONS, "never written", _all(_no_conditions), "no conditions were ever written"),
    Flaw(CONDITIONS, "not all at first", _first(_without("Failed")), "missing: Failed"),
    Flaw(CONDITIONS, "not all at first of one born suspended", _born_with_less, "write of born-suspended"),
    Flaw(CONDITIONS, "startTime anew", _last(_started_anew), "one startTime as long as"),
    Flaw(CONDITIONS, "one dropped later", _last(_without("Created")), "Created was missing from a status"),
    Flaw(CONDITIONS, "one twice", _last(_twice), "one condition of each type"),
    Flaw(
        CONDITIONS,
        "not created at first",
        _first(lambda job: condition(job, "Created").update(status="False")),
        "Created True in the first status write",
    ),
    Flaw(CONDITIONS, "running and restarting", _both, "both were True"),
    Flaw(
        CONDITIONS,
        "status of its own",
        _last(lambda job: condition(job, "Failed").update(status="No")),
        "Failed a metav1.Condition",
    ),
    Flaw(
        CONDITIONS, "no reason", _last(lambda job: condition(job, "Complete").pop("reason")), "Complete is {"
    ),
    Flaw(
        CONDITIONS,
        "stamp without zone",
        _all(lambda job: condition(job, "Failed").update(lastTransitionTime="2026-11-23T18:35:04")),
        "Failed a metav1.Condition with status, reason and lastTransitionTime",
    ),
    Flaw(
        CONDITIONS,
        "stamp moves without a flip",
        _moved,
        "Suspended stayed False and its lastTransitionTime moved",
    ),
    Flaw(CONDITIONS, "generation falls", _falls, "observedGeneration went from 2 to 1"),
    Flaw(CONDITIONS, "generation ahead", _generation(lambda *_: 5), "observedGeneration 5 at generation"),
    Flaw(CONDITIONS, "generation in words", _generation(lambda *_: "1"), "observedGeneration '1'"),
    Flaw(
        CONDITIONS,
        "generation never told",
        _generation(lambda *_: None),
        "observedGeneration once settled None",
    ),
    Flaw(
        CONDITIONS, "generation left behind", _generation(lambda *_: 1), "observedGeneration once settled 1"
    ),
    Flaw(
        CONDITIONS,
        "counts at rest",
        _at_settled(0, lambda job: job["status"]["replicaStatuses"].update(ready=0)),
        "replicaStatuses once settled {'active': 1, 'ready': 0, 'succeeded': 0}",
    ),
    Flaw(
        CONDITIONS,
        "counts at the end",
        _at_settled(3, lambda job: job["status"].pop("replicaStatuses")),
        "replicaStatuses once settled {'active': 0, 'ready': 0, 'succeeded': 0}",
    ),
    Flaw(
        CONDITIONS,
        "not Running at rest",
        _at_settled(1, lambda job: condition(job, "Running").update(status="False")),
        "Running True while both pods run",
    ),
    Flaw(
        CONDITIONS,
        "no startTime",
        _at_settled(0, lambda job: job["status"].pop("startTime")),
        "a startTime while running",
    ),
    Flaw(
        CONDITIONS,
        "dying pod counted",
        _meanwhile(1, "lingers", "lingered", _counts(active=1, ready=1)),
        "the pod being deleted {'active': 1, 'ready': 1, 'failed': 0}",
    ),
    Flaw(
        CONDITIONS,
        "Running without a pod that runs",
        _meanwhile(1, "waits", "finds-a-place", _waiting("True", "False"), restarting=False),
        "Running was True",
    ),
    Flaw(
        CONDITIONS,
        "Restarting over too early",
        _meanwhile(1, "waits", "finds-a-place", _waiting("False", "False"), restarting=True),
        "Restarting was False",
    ),
    Flaw(CONDITIONS, "wrong and never at rest", _restless, "replicaStatuses once settled {'active': 7"),
    Flaw(CONDITIONS, "restart not told", _never_restarting, "Restarting was never True after the failure"),
    Flaw(
        CONDITIONS,
        "status only at the end",
        lambda r: r.miss(CONDITIONS, "the job watched: Running is True", "its status is empty"),
        "its status is empty",
    ),
)


@every(CONDITIONS_FLAWS)
def test_a_status_that_lies_costs_conditions(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_a_pod_that_is_going_may_count_as_one_that_runs_for_the_condition(tmp_path: Path) -> None:
    mutate = _meanwhile(1, "lingers", "lingered", _counts(active=0))
    assert outcomes_of(mutate, tmp_path)[CONDITIONS].status is Status.PASSED


# --- events ----------------------------------------------------------------------------------------


def _flood(track: str, job: str, **fields: object) -> Mutation:
    def mutate(r: Recording) -> None:
        found = next(
            s for s in r.objects
            if s["resource"] == "events"
            and s["namespace"] == r.namespace(track)
            and s["object"]["involvedObject"]["name"] == job
        )  # fmt: skip
        found["object"].update(fields)

    return mutate


def _many_events(r: Recording) -> None:
    space = r.namespace(EVENTS)
    model = next(s for s in r.objects if s["resource"] == "events" and s["namespace"] == space)
    for number in range(40):
        again = copy.deepcopy(model)
        again["name"] = again["object"]["metadata"]["name"] = f"again-{number}"
        again["object"]["metadata"]["uid"] = f"again-{number}"
        again["object"]["involvedObject"] = {"kind": "MLTrainingJob", "name": "talks"}
        r.objects.append(again)


def _no_events(r: Recording) -> None:
    space = r.namespace(EVENTS)
    r.parts["objects"] = [s for s in r.objects if (s["resource"], s["namespace"]) != ("events", space)]


EVENTS_FLAWS = (
    Flaw(EVENTS, "flood", _many_events, "at most 29 Events about talks"),
    Flaw(EVENTS, "flood in one count", _flood(EVENTS, "talks", count=400), "Events about talks"),
    Flaw(
        EVENTS, "flood in a series", _flood("events-failed", "doomed", series={"count": 99}), "about doomed"
    ),
    Flaw(EVENTS, "silent in the record", _no_events, "at least 6 Events about talks"),
    Flaw(
        EVENTS,
        "silent",
        lambda r: r.miss(EVENTS, "1 Event(s) about talks being suspended"),
        "being suspended",
    ),
    Flaw(
        EVENTS, "silent failure", lambda r: r.miss("events-failed", "1 Event(s) about doomed"), "about doomed"
    ),
)


@every(EVENTS_FLAWS)
def test_a_flood_or_silence_costs_events(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_events_about_something_else_are_no_flood(tmp_path: Path) -> None:
    def about_pods(r: Recording) -> None:
        _many_events(r)
        for sighting in r.objects:
            if sighting["name"].startswith("again-"):
                sighting["object"]["involvedObject"]["kind"] = "Pod"

    assert outcomes_of(about_pods, tmp_path)[EVENTS].status is Status.PASSED


# --- metrics ---------------------------------------------------------------------------------------


def _pages(change: Callable[[str], str], instance: str = "") -> Mutation:
    def mutate(r: Recording) -> None:
        for scrape in r.scrapes:
            if scrape["ok"] and instance in scrape["instance"]:
                scrape["text"] = change(scrape["text"])

    return mutate


def _count(counter: str, by: int, instance: str = "operator-2") -> Mutation:
    """Let a counter of one process tell more than it should in the track's namespace."""

    def mutate(r: Recording) -> None:
        series = f'mltrainingjob_jobs_{counter}_total{{namespace="{r.namespace(METRICS)}"}}'
        _pages(lambda text: f"{_family(text, counter)}{series} {_value(text, series) + by}\n", instance)(r)

    def _value(text: str, series: str) -> float:
        found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def _family(text: str, name: str) -> str:
        """The page with that family moved to its end, without the series to be changed."""
        full = f"mltrainingjob_jobs_{name}_total"
        lines = text.splitlines(keepends=True)
        own = [line for line in lines if full in line]
        head = [line for line in own if line.startswith("#")]
        assert len(head) == 2
        return "".join([line for line in lines if line not in own] + head)

    return mutate


def _retyped(name: str, kind: str) -> Mutation:
    return _pages(lambda text: re.sub(rf"# TYPE {name} \w+", f"# TYPE {name} {kind}", text))


def _none_ok(r: Recording) -> None:
    for scrape in r.scrapes:
        scrape.update(ok=False, text="", error="refused")


def _observe(more: int) -> Mutation:
    """The process before the restart observed so many starts more."""
    head = "# TYPE mltrainingjob_start_latency_seconds histogram\n"
    series = f'mltrainingjob_start_latency_seconds_count{{again="1"}} {more}\n'
    return _pages(lambda text: text.replace(head, head + series), "operator-1")


METRICS_FLAWS = (
    Flaw(METRICS, "no scrapes", lambda r: r.scrapes.clear(), "the metrics port never answered"),
    Flaw(METRICS, "nothing behind the port", _none_ok, "the metrics port never answered"),
    Flaw(METRICS, "not a page", _pages(lambda _: "<html>{</html>"), "a page in the Prometheus text format"),
    Flaw(
        METRICS,
        "half a page",
        _pages(lambda text: text + 'mltrainingjob_jobs_active{namespace="a'),
        "it does not parse",
    ),
    Flaw(
        METRICS,
        "camel case",
        _pages(lambda text: text + "# HELP mltrainingjob_jobsDone x\n# TYPE mltrainingjob_jobsDone gauge\n"),
        "mltrainingjob_jobsDone is not in snake_case",
    ),
    Flaw(
        METRICS,
        "no help",
        _pages(lambda text: re.sub(r"# HELP mltrainingjob_jobs_active .*\n", "", text)),
        "mltrainingjob_jobs_active has no HELP text",
    ),
    Flaw(
        METRICS,
        "not by namespace",
        _pages(lambda text: re.sub(r'(jobs_\w+_total)\{namespace="[^"]*"\}', r"\1", text)),
        "adding up to",
    ),
    Flaw(METRICS, "created counted twice", _count("created", 1), "mltrainingjob_jobs_created_total"),
    Flaw(
        METRICS, "success of the first process lost", _count("successful", -1, "operator-1"), "adding up to 3"
    ),
    Flaw(METRICS, "failure counted again", _count("failed", 1), "mltrainingjob_jobs_failed_total"),
    Flaw(
        METRICS, "restart counted on a conflict", _count("restarted", 1), "mltrainingjob_jobs_restarted_total"
    ),
    Flaw(
        METRICS,
        "gauge as counter",
        _retyped("mltrainingjob_jobs_active", "untyped"),
        "jobs_active: type unknown",
    ),
    Flaw(
        METRICS,
        "no histogram",
        _pages(lambda t: "".join(x for x in t.splitlines(True) if "start_latency" not in x)),
        "mltrainingjob_start_latency_seconds: type None",
    ),
    Flaw(
        METRICS,
        "nothing observed",
        _pages(lambda t: re.sub(r"(start_latency_seconds(?:_bucket\{.*\}|_count|_sum)) \S+", r"\1 0.0", t)),
        "its count is 0",
    ),
    Flaw(
        METRICS,
        "every start observed",
        _observe(40),
        "for no more jobs had been Running",
    ),
    Flaw(
        METRICS,
        "gauge never right",
        lambda r: r.miss(METRICS, "mltrainingjob_jobs_active to tell"),
        "to tell",
    ),
)


@every(METRICS_FLAWS)
def test_a_page_that_lies_costs_metrics(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_the_start_of_a_resumed_job_may_be_observed_again(tmp_path: Path) -> None:
    assert outcomes_of(_observe(1), tmp_path)[METRICS].status is Status.PASSED


def test_with_two_replicas_the_page_of_the_leader_is_enough(tmp_path: Path) -> None:
    def two(r: Recording) -> None:
        page = next(scrape for scrape in r.scrapes if scrape["ok"])
        text = re.sub(r"(mltrainingjob_jobs_\w+_total\{[^}]*\}) \S+", r"\1 0.0", page["text"])
        r.scrapes.append({**page, "instance": "operator-standby-1", "text": text})

    assert outcomes_of(two, tmp_path)[METRICS].status is Status.PASSED


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "1e999", "1e308"])
def test_a_counter_of_no_sensible_value_is_the_learners_failure(value: str, tmp_path: Path) -> None:
    def absurd(r: Recording) -> None:
        series = f'namespace="{r.namespace(METRICS)}"'
        extra = "".join(f'mltrainingjob_jobs_failed_total{{{series},n="{n}"}} {value}\n' for n in range(3))
        extra += f'mltrainingjob_jobs_failed_total{{{series},n="x"}} -Inf\n'
        _pages(
            lambda text: text.replace(
                "# HELP mltrainingjob_jobs_restarted", extra + "# HELP mltrainingjob_jobs_restarted"
            )
        )(r)

    outcome = outcomes_of(absurd, tmp_path)[METRICS]
    assert outcome.status is Status.FAILED
    assert "adding up to 1 over both processes" in outcome.expected


def test_a_job_being_deleted_may_count_as_active_or_not() -> None:
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    jobs = [
        {"metadata": {}},
        {"metadata": {"deletionTimestamp": "2030-01-01T12:00:00Z"}, "status": {}},
        {"metadata": {}, "status": ended},
        {"metadata": {"deletionTimestamp": "2030-01-01T12:00:00Z"}, "status": ended},
    ]
    assert active_jobs(jobs) == (1, 2)
