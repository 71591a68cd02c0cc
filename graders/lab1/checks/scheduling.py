"""Gangs, and what a template says about places."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Object
from graders.evidence.timeline import ObjectHistory
from graders.judging import Facts, Findings, check
from graders.lab1.api import GPU, is_terminating, is_true, phase
from graders.lab1.trackrecord import JobsRecord, track_record

GANG = "wide"
LOOSE, ENOUGH = "loose", 3
"""The gang that may run in part, and its minAvailable."""
RIVALS = ("red", "blue")
SPREAD, PLAIN = "spread", "plain"
SKEW = 1


@check(
    "gang",
    tracks=("gang", "rival-gangs"),
    hint="Count the places first, in all namespaces; then lift the gates of one gang at a time.",
)
def check_gang(bundle: Bundle, facts: Facts) -> None:
    """A gang runs when there is room for enough of its pods, and until then none of them does."""
    alone, rivals = track_record(bundle, "gang"), track_record(bundle, "rival-gangs")
    with Findings() as found:
        _expect_none_ran(found, alone, GANG, alone.mark("room").t, "with three places for four pods")
        running = [life.name for life in alone.pods(GANG) if _runs(life.at(alone.mark("gang-runs").t))]
        found.equal("pods that run once there is room:", 4, len(running))
        _expect_undisturbed(found, alone)
        _expect_in_part(found, alone)
        _expect_whole_again(found, alone)
        for name in RIVALS:
            _expect_none_ran(found, rivals, name, rivals.mark("room").t, "with two places for three pods")
        ends = rivals.mark("first-ends")
        first, second = str(ends.data["first"]), str(ends.data["second"])
        _expect_none_ran(found, rivals, second, ends.t, f"while {first} had three of the four places")
        running = [life.name for life in rivals.pods(first) if _runs(life.at(ends.t))]
        found.equal(f"pods of {first} that run until they are done:", 3, len(running))
    facts["all_ran_after_s"] = round(alone.mark("gang-runs").t - alone.mark("room").t, 2)
    facts["first"] = first


def _expect_none_ran(found: Findings, story: JobsRecord, job: str, until: float, bounds: str) -> None:
    ran = [life.name for life in story.pods(job) if _ever_ran(life, until)]
    found.expect(
        not ran,
        f"no pod of the gang {job} to run {bounds}",
        f"{', '.join(sorted(ran))} ran",
        "A pod takes room wherever it comes from; cordons, taints and node selectors take some away.",
    )


def _ever_ran(life: ObjectHistory, until: float) -> bool:
    return any(s.t < until and phase(s.object) in ("Running", "Succeeded") for s in life.seen)


def _expect_undisturbed(found: Findings, story: JobsRecord) -> None:
    """What was left of the gang runs on when one of its pods has failed."""
    settled = story.mark("one-failed")
    by_uid = {life.uid: life for life in story.pods(GANG)}
    stopped = [
        name
        for name, uid in settled.data["survivors"].items()
        if uid not in by_uid or not _runs(by_uid[uid].at(settled.t))
    ]
    found.expect(
        not stopped,
        "the other pods of a running gang to run on when one fails and cannot be placed again",
        f"{', '.join(sorted(stopped))} did not",
        "Only a gang that has not started yet starts as a whole.",
    )


def _expect_in_part(found: Findings, story: JobsRecord) -> None:
    """A gang with places for four of its five pods runs with them, for it needs three."""
    for mark in story.all("in-part"):
        running = [life.name for life in story.pods(LOOSE) if _runs(life.at(mark.t))]
        found.expect(
            len(running) >= ENOUGH,
            f"at least {ENOUGH} of {LOOSE}'s 5 pods to run, with minAvailable {ENOUGH} and 4 places",
            f"{len(running)} ran",
        )
        # Whether Running is said of any gang is the business of conditions.
        whole, part = story.job(GANG).at(story.mark("gang-runs").t), story.job(LOOSE).at(mark.t)
        found.expect(
            not _said(whole) or len(running) < ENOUGH or _said(part),
            f"{LOOSE}: Running True, for at least minAvailable of its pods run",
            f"{LOOSE}: it was not, with {len(running)} of them running",
        )


def _expect_whole_again(found: Findings, story: JobsRecord) -> None:
    """A gang that was suspended starts as a whole when it is resumed, or not at all."""
    for resumed in story.all("resume"):
        again = (life for life in story.pods(GANG) if life.seen[0].t > resumed.t)
        ran = sorted(life.name for life in again if _ever_ran(life, math.inf))
        found.expect(
            not ran,
            f"no pod of {GANG} to run when it is resumed, with one place for its four pods",
            f"{', '.join(ran)} ran",
            "What is resumed starts anew: hold its pods back until enough of them have a place.",
        )
        told = [
            {name for name in ("Running", "Restarting") if is_true(job, name)}
            for _, job in story.statuses(LOOSE)
        ]
        found.expect(
            max(map(len, told)) < 2,
            f"{LOOSE}: Running and Restarting never True together",
            f"{LOOSE}: both were True",
        )


def _said(job: Object | None) -> bool:
    return job is not None and is_true(job, "Running")


def _runs(pod: Object | None) -> bool:
    return pod is not None and phase(pod) == "Running" and not is_terminating(pod)


@check(
    "placement",
    tracks=("placement",),
    hint="Start from a copy of the template's spec, and add what makes it a pod of the job.",
)
def check_placement(bundle: Bundle, facts: Facts) -> None:
    """Spread, priority and GPU limits of the template reach the pods, and hold where they run."""
    story = track_record(bundle, "placement")
    asked = story.mark("asked").data
    classes = asked["classes"]
    end = story.mark("end").t
    with Findings() as found:
        placed = {life.name: life.at(end) for life in story.pods(SPREAD)}
        pods = {name: pod for name, pod in sorted(placed.items()) if pod is not None}
        for name, pod in pods.items():
            _expect_template(found, name, pod, asked["template"])
            _expect_priority(found, name, pod, classes["urgent"], "the template's")
        for life in story.pods(PLAIN):
            why = "schedulingPolicy's, for the template names none"
            _expect_priority(found, life.name, life.first, classes["usual"], why)
        _expect_places(found, pods, asked["nodes"], facts)


def _expect_template(found: Findings, name: str, pod: Object, template: Mapping[str, Any]) -> None:
    spec, wanted = pod["spec"], template["spec"]
    for field in ("topologySpreadConstraints", "nodeSelector"):
        found.expect(
            _holds(spec.get(field), wanted[field]),
            f"{name}: {field} as in the template",
            f"{name}: {field} {spec.get(field) or 'missing'}",
        )
    labels = template["metadata"]["labels"]
    found.expect(
        _holds(pod["metadata"].get("labels"), labels),
        f"{name}: the template's labels {labels}",
        f"{name}: labels {pod['metadata'].get('labels')}",
        "A spread counts pods by these labels.",
    )
    limits = {container["name"]: _gpus(container) for container in spec["containers"]}
    for container in wanted["containers"]:
        found.equal(
            f"{name}, container {container['name']}: GPU limit",
            _gpus(container),
            limits.get(container["name"], "none, for there is no such container"),
        )


def _holds(found: Any, wanted: Any) -> bool:
    """Whether a value is what was wanted; an object may have more fields, which the API server adds."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            _holds(found.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def _gpus(container: Mapping[str, Any]) -> str:
    return str(((container.get("resources") or {}).get("limits") or {}).get(GPU, "none"))


def _expect_priority(found: Findings, name: str, pod: Object, wanted: Mapping[str, Any], whose: str) -> None:
    spec = pod["spec"]
    found.equal(f"{name}: priorityClassName ({whose})", wanted["name"], spec.get("priorityClassName"))
    found.equal(f"{name}: priority", wanted["value"], spec.get("priority"))


def _expect_places(
    found: Findings, pods: Mapping[str, Object], nodes: Mapping[str, Mapping[str, Any]], facts: Facts
) -> None:
    """The pods are where the spread and the GPUs of each node let them be."""
    hosts = {name: str(pod["spec"].get("nodeName")) for name, pod in pods.items()}
    astray = [name for name, host in hosts.items() if host not in nodes]
    found.expect(
        not astray,
        "all pods on the nodes that the template's nodeSelector names",
        f"{', '.join(astray)} elsewhere",
    )
    used = Counter(hosts.values())
    zones = {node["zone"]: 0 for node in nodes.values()}
    for host, node in nodes.items():
        zones[node["zone"]] += used[host]
        found.expect(
            used[host] <= node["gpus"],
            f"at most {node['gpus']} pods with a GPU each on {host}",
            f"{used[host]} pods there",
        )
    found.expect(
        max(zones.values()) - min(zones.values()) <= SKEW,
        f"pods per zone that differ by at most {SKEW}",
        "pods per zone: " + ", ".join(f"{zone} {count}" for zone, count in sorted(zones.items())),
    )
    facts["pods_by_zone"] = zones
