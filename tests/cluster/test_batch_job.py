"""A batch's Indexed Job at a real API server and Job controller; the test says how its pods end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graders.batch.distributed import EndedIndex
from graders.batch.executor import Batch
from graders.batch.indexedjob import QUEUE_LABEL, PodOptions, indexed_job, job_name
from graders.batch.jobforce import JobWorkforce
from graders.batch.plan import BatchPlan
from graders.course import load_course
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.progress import Silent
from tests.cluster.kubelets import NOWHERE, Kubelet, own_namespace, terminated, waiting

pytestmark = pytest.mark.cluster

DONE = terminated(0, "Completed")
HARNESS = terminated(3, message="kubeproof: s3://class is out of reach")
UNUSABLE = terminated(2, message="kubeproof: is not what was handed in")
OUT_OF_MEMORY = terminated(137, "OOMKilled")
EVICTED = {
    **terminated(137),
    "reason": "Evicted",
    "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}],
}


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    with own_namespace(kube, request.node.name) as name:
        yield name


@pytest.fixture
def options(namespace: str) -> PodOptions:
    return PodOptions(
        image="registry.example.org/kubeproof:1",
        objects="s3://class/lab1",
        namespace=namespace,
        cpu=NOWHERE,
        tries=2,
    )


def batch_of(tmp_path: Path) -> Batch:
    lab = load_course().find_lab("lab1")
    return Batch(lab=lab, hand_ins=(), results=tmp_path, provider="embedded", jobs=10)


def plan_for(count: int) -> BatchPlan:
    return BatchPlan(name="lab1-0123456789abcdef", works=tuple(f"{number:032x}" for number in range(count)))


@pytest.mark.parametrize(
    "more",
    [{}, {"queue": "class-of-2026", "secret": "s3"}, {"objects": "file:///srv/class", "claim": "objects"}],
    ids=["bucket", "queue", "folder"],
)
def test_the_manifest_is_taken_as_it_is_and_asks_for_no_privilege(
    kube: Kube, namespace: str, more: dict[str, str]
) -> None:
    options = PodOptions(
        **(
            {
                "image": "registry.example.org/kubeproof:1",
                "objects": "s3://class/lab1",
                "namespace": namespace,
            }
            | more
        )
    )
    options.check()
    manifest = indexed_job(options, "lab1-0123456789abcdef", 10_000, 200, 3600.0)
    answer = kube.request(
        "POST",
        f"/apis/batch/v1/namespaces/{namespace}/jobs",
        query={"dryRun": "All", "fieldValidation": "Strict"},
        body=manifest,
    )
    assert (answer.code, answer.warnings) == (201, ()), answer.message
    taken, wanted = answer.body["spec"], manifest["spec"]
    for field in ("completions", "backoffLimitPerIndex", "podReplacementPolicy", "suspend", "parallelism"):
        assert taken[field] == wanted[field]
    assert [rule["action"] for rule in taken["podFailurePolicy"]["rules"]] == [
        "Ignore", "FailJob", "FailIndex", "Count",
    ]  # fmt: skip
    pod, (grader,) = taken["template"]["spec"], taken["template"]["spec"]["containers"]
    # What the API server does not know, or has switched off, it leaves out.
    assert (pod["hostUsers"], grader["securityContext"]["procMount"]) == (False, "Unmasked")
    assert (pod["restartPolicy"], pod["automountServiceAccountToken"]) == ("Never", False)
    assert pod["securityContext"]["runAsNonRoot"]
    assert grader["securityContext"]["privileged"] is False
    assert grader["securityContext"]["allowPrivilegeEscalation"] is False
    assert grader["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert answer.body["metadata"]["labels"].get(QUEUE_LABEL, "") == more.get("queue", "")


def test_trouble_is_retried_and_what_fails_says_why(kube: Kube, options: PodOptions, tmp_path: Path) -> None:
    script = {0: [HARNESS, DONE], 1: [UNUSABLE], 2: [OUT_OF_MEMORY] * 2}
    force, plan, batch = JobWorkforce(kube, options, looks_every_s=0.1), plan_for(3), batch_of(tmp_path)
    with Kubelet(kube, options.namespace, script) as kubelet:
        begun = force.work(plan, batch, Silent())
        first = next(begun)
        assert force.at_work() == [plan.name]
        # Whoever is ended and comes again finds the Job at work, and goes on with it.
        begun.close()  # type: ignore[attr-defined]
        found = {each.index: each.problem for each in force.work(plan, batch, Silent())}
    assert first.index in found
    assert found == {
        0: "",
        1: "its pod ended with 2: kubeproof: is not what was handed in",
        2: "its pod ran out of memory (limit 3Gi); give more with --memory",
    }
    assert sorted(kubelet.seen.values()) == [0, 0, 1, 2, 2]
    assert force.at_work() == []


def test_a_disruption_costs_no_try(kube: Kube, options: PodOptions, tmp_path: Path) -> None:
    force = JobWorkforce(kube, replace(options, tries=1), looks_every_s=0.1)
    with Kubelet(kube, options.namespace, {0: [EVICTED, DONE]}) as kubelet:
        assert list(force.work(plan_for(1), batch_of(tmp_path), Silent())) == [EndedIndex(0)]
    assert len(kubelet.seen) == 2


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (
            waiting("ErrImageNeverPull", "Container image is not present"),
            r"no pod of Job kubeproof-lab1-.* can start: ErrImageNeverPull: Container image is not present; "
            r"it was removed, and nothing was graded\n  fix: see that nodes can pull registry.example.org/",
        ),
        (
            terminated(4, message="the judge key is not the batch's"),
            r"Job kubeproof-lab1-.* was ended \(its pod ended with 4: the judge key is not the batch's\)"
            r"\n  fix: build registry.example.org/kubeproof:1 from this checkout",
        ),
    ],
    ids=["unpullable", "other-code"],
)
def test_what_no_pod_can_do_ends_the_job_and_is_told(
    kube: Kube, options: PodOptions, tmp_path: Path, status: dict[str, Any], told: str
) -> None:
    force = JobWorkforce(kube, options, looks_every_s=0.1)
    with (
        Kubelet(kube, options.namespace, {0: [status], 1: [status]}),
        pytest.raises(InfraFault, match=told),
    ):
        list(force.work(plan_for(2), batch_of(tmp_path), Silent()))
    assert force.at_work() == []


def test_a_job_that_was_left_with_another_image_is_replaced(
    kube: Kube, options: PodOptions, tmp_path: Path
) -> None:
    plan = plan_for(1)
    left = indexed_job(replace(options, image="registry.example.org/wrong:1"), plan.name, 1, 1, 60.0)
    left["spec"]["suspend"] = True
    kube.create(f"/apis/batch/v1/namespaces/{options.namespace}/jobs", left)
    force = JobWorkforce(kube, options, looks_every_s=0.1)
    assert force.at_work() == [plan.name]
    with Kubelet(kube, options.namespace, {0: [DONE]}):
        assert list(force.work(plan, batch_of(tmp_path), Silent())) == [EndedIndex(0)]


def test_a_job_that_somebody_deletes_is_told(kube: Kube, options: PodOptions, tmp_path: Path) -> None:
    force, plan = JobWorkforce(kube, options, looks_every_s=0.1), plan_for(1)
    path = f"/apis/batch/v1/namespaces/{options.namespace}/jobs/{job_name(plan.name)}"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: list[EndedIndex](force.work(plan, batch_of(tmp_path), Silent())))
        while kube.find(path) is None:
            threading.Event().wait(0.05)
        kube.delete(path, propagationPolicy="Background")
        with pytest.raises(
            InfraFault, match="is gone: somebody deleted it\n  fix: run the same command again"
        ):
            running.result(60)


def test_a_namespace_that_is_not_there_is_told(kube: Kube, tmp_path: Path) -> None:
    options = PodOptions(image="x", objects="s3://a/b", namespace="not-there")
    with pytest.raises(
        InfraFault, match=r"the cluster refuses it: .*\n  fix: see that the namespace is there"
    ):
        list(JobWorkforce(kube, options).work(plan_for(1), batch_of(tmp_path), Silent()))
