"""Gatekeeper as the lab runs it, beside a real API server, with the reference's policies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from graders.admission.attempts import Attempt
from graders.admission.engines import POLICY_ENGINES, Placing
from graders.admission.specimens import Manifest, pod, service
from graders.clusters.definitions import install_kinds
from graders.faults import InfraFault
from graders.kube.client import Kube
from graders.lab2.attempts import breaking, near_misses
from graders.lab2.images import digest_of
from graders.lab2.toolsets import GATEKEEPER, KUSTOMIZE
from graders.ownership import OwnedFolder
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from graders.services.gatekeeper import Gatekeeper
from graders.submissions.rendering import Renderer, render
from graders.tools import ensure
from tests.cluster.ownprograms import needs
from tests.cluster.proxied import World

pytestmark = [pytest.mark.cluster, needs(GATEKEEPER, KUSTOMIZE)]

REFERENCE = Path(__file__).parents[2] / "solutions" / "lab2" / "reference-command"
SPACE, REGISTRY = "judged-by-gatekeeper", "127.0.0.1:5000"
IMAGE = f"{REGISTRY}/web@{digest_of('v1')}"
WITHIN_S = 60.0
TRIED = {each.case: each for each in breaking(REGISTRY, IMAGE, SPACE) if each.how == "create"}
FINE = {each.case: each for each in near_misses(IMAGE, IMAGE, SPACE) if each.how == "create"}
PODS_AND_SERVICES = [case for case, each in TRIED.items() if each.object["kind"] in ("Pod", "Service")]


@dataclass
class Judge:
    """Gatekeeper that runs with the policies of the reference; an owner asks."""

    gatekeeper: Gatekeeper
    kube: Kube

    def denied(self, item: Manifest) -> str:
        """What is said against an object by a dry run; empty where it is admitted."""
        path = self.kube.path_for(item, collection=True)
        answer = self.kube.request("POST", path, query={"dryRun": "All"}, body=item)
        return "" if answer.ok else answer.message


@pytest.fixture(scope="module")
def judge(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    engine, progress = POLICY_ENGINES["gatekeeper"], Silent()
    install_kinds(world.kube, engine.definitions())
    world.kube.create("/api/v1/namespaces", {"metadata": {"name": SPACE}})
    folder: Path = tmp_path_factory.mktemp("gatekeeper")
    policies = folder / "policies"
    policies.mkdir()
    for file in (REFERENCE / "policies").glob("*.yaml"):
        (policies / file.name).write_text(file.read_text().replace("${LAB_REGISTRY}", REGISTRY))
    rendered = render(Renderer(ensure(KUSTOMIZE, progress).path("kustomize"), None), folder, "policies")
    assert not rendered.error
    program = ensure(GATEKEEPER, progress).path("gatekeeper")
    written = folder / "gatekeeper-test"
    written.mkdir()
    with (
        OwnedFolder("services", "gatekeeper") as owner,
        engine.controller(
            Placing(owner, written, program, world.kube, world.cluster.kubeconfig, world.cluster)
        ) as running,
    ):
        running.furnish()
        running.start()
        assert isinstance(running, Gatekeeper)
        made = Judge(running, world.kube)
        for item in sorted(rendered.objects, key=lambda each: each["kind"] != "ConstraintTemplate"):
            wait_for(lambda item=item: _applied(world.kube, dict(item)), timeout_s=WITHIN_S)  # type: ignore[misc]

        def judges() -> None:
            for case in PODS_AND_SERVICES:
                if not made.denied(TRIED[case].object):
                    raise NotYet(f"{case} is admitted")

        wait_for(judges, timeout_s=WITHIN_S)
        yield made
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    for each in world.kube.get(hooks)["items"]:
        if each["metadata"]["name"].startswith("gatekeeper-"):
            world.kube.delete(f"{hooks}/{each['metadata']['name']}")


def _applied(kube: Kube, item: Manifest) -> None:
    answer = kube.apply(item)
    if not answer.ok:
        # The kind of a constraint comes of its template, and a moment after it.
        raise NotYet(f"{item['kind']}: {answer.message}")


@pytest.mark.parametrize("case", PODS_AND_SERVICES)
def test_what_breaks_a_rule_is_denied(judge: Judge, case: str) -> None:
    assert 'admission webhook "validation.gatekeeper.sh" denied the request' in judge.denied(
        TRIED[case].object
    )


@pytest.mark.parametrize("attempt", FINE.values(), ids=list(FINE))
def test_what_breaks_none_is_admitted(judge: Judge, attempt: Attempt) -> None:
    assert judge.denied(attempt.object) == ""


def test_its_own_namespace_and_the_system_s_are_left_alone(judge: Judge) -> None:
    bad = TRIED["r2-no-limit"].object
    for namespace in ("kube-system", "gatekeeper-system"):
        assert judge.denied({**bad, "metadata": {**bad["metadata"], "namespace": namespace}}) == ""


def test_killed_it_denies_and_started_it_lets_nothing_slip_in(judge: Judge) -> None:
    good, bad = pod("good", IMAGE, SPACE), TRIED["r3-writable"].object
    judge.gatekeeper.kill()
    with pytest.raises(InfraFault, match="ended with code -9"):
        judge.gatekeeper.check_alive()
    for item in (good, bad, service("fine", namespace=SPACE)):
        assert "failed calling webhook" in judge.denied(item)
    slipped, over = list[int](), threading.Event()

    def hammer() -> None:
        tries = 0
        while not over.is_set():
            tries += 1
            if not judge.denied(bad):
                slipped.append(tries)

    with_bad = threading.Thread(target=hammer)
    with_bad.start()
    try:
        judge.gatekeeper.start()
        wait_for(lambda: _admitted(judge, good), timeout_s=WITHIN_S)
    finally:
        over.set()
        with_bad.join()
    assert slipped == []
    assert "denied the request" in judge.denied(bad)


def _admitted(judge: Judge, item: Manifest) -> None:
    if said := judge.denied(item):
        raise NotYet(said)
