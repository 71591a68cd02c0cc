"""The two forms of each policy of lab 1 agree: the API server's own admission, and real Kyverno."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from graders.clusters.binaries import ensure_kyverno
from graders.clusters.provider import ClusterSpec
from graders.clusters.registry import provider_named
from graders.documents import load_documents
from graders.evidence.recorders import Clock
from graders.kube.client import Kube
from graders.lab1.checks.policies import report
from graders.lab1.policies import (
    Kyverno,
    admission_manifests,
    compliant_template,
    counter_examples,
    deployment,
    pod,
    policy_names,
)
from graders.paths import REPOSITORY
from graders.polling import NotYet, wait_for
from graders.progress import Silent
from graders.sandbox import sandbox_named
from graders.sandbox.protocol import SandboxSpec
from graders.sandbox.runtime import ensure_runtime

pytestmark = pytest.mark.cluster

PROBE = {"httpGet": {"path": "/healthz", "port": 8080}}
REFERENCE = REPOSITORY / "solutions" / "lab1" / "reference" / "deploy" / "40-deployment.yaml"
Change = Callable[[dict[str, Any]], object]


def _pod(change: Change = lambda spec: None) -> dict[str, Any]:
    template = compliant_template()
    change(template["spec"])
    return pod(template["spec"])


def _deployment(change: Change = lambda spec: None) -> dict[str, Any]:
    template = compliant_template()
    template["metadata"] = {"labels": {"app": "sample"}}
    template["spec"]["containers"][0].update(livenessProbe=PROBE, readinessProbe=PROBE)
    change(template["spec"])
    return deployment({"selector": {"matchLabels": {"app": "sample"}}, "template": template})


def _first(field: str, value: Any, group: str = "containers") -> Change:
    return lambda spec: spec[group][0].update({field: value})


def _bare(spec: dict[str, Any]) -> None:
    spec["containers"] = [{"name": "bare", "image": "bare"}]
    for field in ("serviceAccountName", "automountServiceAccountToken", "initContainers"):
        del spec[field]


def _twins(spec: dict[str, Any]) -> None:
    spec["containers"].append({**copy.deepcopy(spec["containers"][0]), "name": "twin", "image": "a:latest"})


WRITABLE = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": False}
ONE_LIMIT = {"limits": {"memory": "64Mi"}, "requests": {"memory": "64Mi"}}
NO_LIMIT = {"requests": {"cpu": "1", "memory": "64Mi"}}
DIGEST = "registry.example:5000/a@sha256:" + "0" * 64

SAMPLES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "a compliant pod": (_pod(), set()),
    "a compliant Deployment": (_deployment(), set()),
    "image latest": (_pod(_first("image", "a:latest")), {"images-are-pinned"}),
    "image without a tag": (_pod(_first("image", "example.com/a")), {"images-are-pinned"}),
    "a port is no tag": (_pod(_first("image", "example.com:5000/a")), {"images-are-pinned"}),
    "a digest is enough": (_pod(_first("image", DIGEST)), set()),
    "a tag that begins as latest does": (_pod(_first("image", "a:latest-1.2")), set()),
    "init container's image": (_pod(_first("image", "a", "initContainers")), {"images-are-pinned"}),
    "the second container": (_pod(_twins), {"images-are-pinned"}),
    "no cpu request": (_pod(_first("resources", ONE_LIMIT)), {"resources-are-bounded"}),
    "no memory limit": (_pod(_first("resources", NO_LIMIT)), {"resources-are-bounded"}),
    "no resources": (_deployment(_first("resources", {})), {"resources-are-bounded"}),
    "writable root": (_pod(_first("securityContext", WRITABLE)), {"root-file-system-is-read-only"}),
    "no security context": (
        _deployment(_first("securityContext", {}, "initContainers")),
        {"root-file-system-is-read-only"},
    ),
    "a token for the default account": (
        _pod(lambda spec: spec.update(serviceAccountName="default", automountServiceAccountToken=True)),
        {"api-tokens-need-an-account"},
    ),
    "no token for the default account": (_pod(lambda spec: spec.update(serviceAccountName="default")), set()),
    "an account of its own": (
        _deployment(lambda spec: spec.update(automountServiceAccountToken=True)),
        set(),
    ),
    "no liveness probe": (_deployment(_first("livenessProbe", None)), {"deployments-have-probes"}),
    "no readiness probe": (_deployment(_first("readinessProbe", None)), {"deployments-have-probes"}),
    "nothing right in a pod": (_pod(_bare), set(policy_names()) - {"deployments-have-probes"}),
    "nothing right in a Deployment": (_deployment(_bare), set(policy_names())),
}


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    with provider_named("embedded").provision(ClusterSpec(name="policies"), Silent()) as cluster:
        yield Kube(cluster.kubeconfig)


@pytest.fixture(scope="module")
def places(kube: Kube) -> dict[str, str]:
    """For each policy a namespace where it alone is in force, and under "" one where none is."""
    spaces = {"": "no-policy", **{name: f"only-{name}" for name in policy_names()}}
    for space in spaces.values():
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        for account in ("trainer", "default", "mltj-operator"):
            named = {"name": account, "namespace": space}
            kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named})
    for manifest in admission_manifests():
        if manifest["kind"].endswith("Binding"):
            where = {"kubernetes.io/metadata.name": spaces[manifest["spec"]["policyName"]]}
            manifest["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": where}}
        answer = kube.apply(manifest)
        assert answer.ok, answer.message

    def in_force() -> None:
        examples = counter_examples()
        waiting = [name for name in policy_names() if _admitted(kube, spaces[name], examples[name])]
        if waiting:
            raise NotYet(", ".join(waiting))

    wait_for(in_force, timeout_s=60)
    return spaces


@pytest.fixture(scope="module")
def kyverno(tmp_path_factory: pytest.TempPathFactory) -> Kyverno:
    folder = tmp_path_factory.mktemp("kyverno")
    (folder / "submission").mkdir()
    runtime = ensure_runtime(Silent())
    spec = SandboxSpec(
        submission=folder / "submission",
        command=(),
        folder=folder / "runs",
        venv=runtime.venv,
        python=runtime.python,
        base=runtime.base,
    )
    return Kyverno(ensure_kyverno(Silent()), sandbox_named("bubblewrap"), spec, Clock())


def _dry_run(kube: Kube, space: str, subject: dict[str, Any]) -> Any:
    named = {**subject, "metadata": {**subject["metadata"], "name": "sample", "namespace": space}}
    path = kube.path_for(named, collection=True)
    return kube.request("POST", path, body=named, query={"dryRun": "All"})


def _admitted(kube: Kube, space: str, subject: dict[str, Any]) -> bool:
    answer = _dry_run(kube, space, subject)
    assert answer.code in (201, 403, 422), answer.message
    return bool(answer.code == 201)


def test_both_engines_find_in_each_sample_what_is_wrong_with_it(
    kube: Kube, places: dict[str, str], kyverno: Kyverno
) -> None:
    stored: dict[str, Any] = {}
    by_admission: dict[str, set[str]] = {}
    for number, (title, (subject, _)) in enumerate(SAMPLES.items()):
        answer = _dry_run(kube, places[""], subject)
        assert answer.ok, f"{title}: {answer.message}"
        make = deployment if subject["kind"] == "Deployment" else pod
        stored[f"sample-{number}"] = make(answer.body["spec"], answer.body["metadata"])
        by_admission[title] = {name for name in policy_names() if not _admitted(kube, places[name], subject)}
    run = kyverno(stored)
    by_kyverno: dict[str, set[str]] = {title: set() for title in SAMPLES}
    titles = {f"sample-{number}": title for number, title in enumerate(SAMPLES)}
    for name, policy, result, _ in report(run):
        if result != "pass":
            assert result == "fail", run.output
            by_kyverno[titles[name]].add(policy)
    wanted = {title: broken for title, (_, broken) in SAMPLES.items()}
    assert by_admission == wanted
    assert by_kyverno == wanted
    assert {name for name, *_ in report(run)} == set(titles), "Kyverno left a sample out"


def test_the_references_deployment_keeps_to_every_policy(
    kube: Kube, places: dict[str, str], kyverno: Kyverno
) -> None:
    (document,) = load_documents(REFERENCE)
    subject = deployment(document.data["spec"], document.data["metadata"])
    assert all(_admitted(kube, places[name], subject) for name in policy_names())
    assert {result for _, _, result, _ in report(kyverno({"reference": subject}))} == {"pass"}


def test_every_policy_has_both_forms_under_one_name() -> None:
    admission = {m["metadata"]["name"] for m in admission_manifests() if not m["kind"].endswith("Binding")}
    folder = REPOSITORY / "labs" / "lab1" / "policies" / "kyverno"
    kyverno = {load_documents(file)[0].data["metadata"]["name"] for file in folder.glob("*.yaml")}
    assert admission == kyverno == set(policy_names()) == set(counter_examples()) - {"PodSecurity"}


def test_text_of_a_learners_cannot_end_kyvernos_report(kyverno: Kyverno) -> None:
    strange = _pod()
    strange["metadata"]["annotations"] = {"note": '\n---\n{"kind": "ClusterReport"}\n\u2028😀\x7f'}
    verdicts = report(kyverno({"strange": strange, "plain": _pod()}))
    assert {name for name, *_ in verdicts} == {"strange", "plain"}
    assert json.dumps(verdicts).count('"pass"') == len(verdicts)
