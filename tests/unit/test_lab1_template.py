"""What a pod lacks of its template is told field by field; what the operator sets itself is passed over."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from graders.lab1.template import lost, varied_template


def made() -> dict[str, Any]:
    """A pod as a sound operator and the API server make it of the template."""
    template = copy.deepcopy(varied_template())
    pod: dict[str, Any] = {"metadata": template["metadata"], "spec": template["spec"]}
    pod["metadata"]["labels"]["training.mod201.dev/job-name"] = "bert"
    pod["spec"] |= {"restartPolicy": "Never", "hostname": "bert-0", "subdomain": "bert"}
    for container in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]):
        own = [{"name": "PET_NNODES", "value": "4"}, {"name": "PET_NODE_RANK", "value": "0"}]
        container["env"] = own + [each for each in container["env"] if not each["name"].startswith("PET")]
        container["imagePullPolicy"] = "IfNotPresent"
    pod["spec"]["containers"][0]["env"][4]["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
    pod["spec"]["containers"][0]["ports"][0]["protocol"] = "TCP"
    return pod


def test_a_pod_may_have_more_than_its_template() -> None:
    assert lost(varied_template(), made()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p["metadata"].pop("annotations"), "metadata.annotations.example.com/data-set is null and"),
        (
            lambda p: p["metadata"]["annotations"].pop("example.com/note"),
            'example.com/note is null and not ""',
        ),
        (lambda p: p["metadata"]["labels"].pop("team"), 'metadata.labels.team is null and not "research"'),
        (lambda p: p["spec"].pop("initContainers"), "initContainers is null and not [{"),
        (lambda p: p["spec"].update(enableServiceLinks=True), "enableServiceLinks is true and not false"),
        (lambda p: p["spec"]["hostAliases"].append({"ip": "192.0.2.8"}), "hostAliases is [{"),
        (lambda p: p["spec"]["containers"].pop(), "containers[sidecar] is null"),
        (lambda p: p["spec"]["containers"][0].pop("workingDir"), "containers[trainer].workingDir is null"),
        (
            lambda p: p["spec"]["containers"][0]["resources"].pop("limits"),
            "[trainer].resources.limits is null",
        ),
        (lambda p: p["spec"]["containers"][0]["env"].pop(), "containers[trainer].env[RANK_OF_ALL] is null"),
        (
            lambda p: p["spec"]["containers"][0]["env"][4].pop("valueFrom"),
            "containers[trainer].env[HOST_IP].valueFrom is null",
        ),
    ],
)
def test_what_is_missing_is_named(change: Callable[[dict[str, Any]], object], words: str) -> None:
    pod = made()
    change(pod)
    assert words in lost(varied_template(), pod)[0]


def test_fields_may_be_passed_over() -> None:
    pod = made()
    pod["spec"]["containers"][0]["env"] = []
    assert lost(varied_template(), pod, aside={"env"}) == []


def test_a_pod_of_no_shape_lacks_everything() -> None:
    assert lost(varied_template(), {"metadata": {"labels": None}, "spec": None})
