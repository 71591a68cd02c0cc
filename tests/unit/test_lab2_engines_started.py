"""What the engines of lab 2 are started with, and what they find: as the text promises, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from graders.admission.engines import engines_named
from graders.admission.kinds import kinds_of
from graders.course import load_course
from graders.faults import BadSubmission
from graders.gitops.hub import examine_hub
from graders.gitops.rights import access_objects
from graders.kube.client import Kube
from graders.lab2.engines import SETUPS, SHAPE, TOKEN
from graders.lab2.fleet import cluster_specs, furnish_spoke
from graders.lab2.names import ENGINE, ENVIRONMENTS, HUB, NAMESPACES
from graders.lab2.toolsets import ARGOCD, FLUX, GATEKEEPER, KYVERNO
from graders.ownership import OwnedFolder
from graders.paths import REPOSITORY
from graders.sandbox import Limits
from graders.scenario.heldpods import write_stages
from graders.scenario.spec import RunSettings
from graders.services.argocd import EnginePrograms, argocd
from graders.services.flux import flux
from graders.services.gatekeeper import Gatekeeper, WebhookServing, gatekeeper
from graders.services.kyverno import Kyverno, kyverno
from graders.services.service import Service
from graders.tools import Toolset
from tests.unit.tiny_api import TinyApi

REFERENCE = REPOSITORY / "solutions" / "lab2" / "reference"
NOWHERE = Path("/nowhere")


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnedFolder]:
    monkeypatch.setenv("KUBEPROOF_STATE", str(tmp_path / "state"))
    with OwnedFolder("services", "lab2-test") as folder:
        yield folder


def words(service: Service) -> list[str]:
    """A service's command, as text."""
    return [str(each) for each in service.spec.command]


def created(api: TinyApi) -> list[tuple[str, dict[str, Any]]]:
    """What was posted: where, and what."""
    return [(path, body) for verb, path, _, body, _ in api.asked if verb == "POST"]


def named(api: TinyApi, resource: str) -> dict[str, dict[str, Any]]:
    return {body["metadata"]["name"]: body for path, body in created(api) if path.endswith(f"/{resource}")}


def spokes(folder: Path) -> list[Any]:
    """Three clusters, as far as an engine is led to them: who it is there."""
    made = []
    for number, name in enumerate(ENVIRONMENTS, 1):
        cluster = {"server": f"https://127.0.0.1:{number}", "certificate-authority-data": f"ca-{name}"}
        user = {"client-certificate-data": f"cert-{name}", "client-key-data": f"key-{name}"}
        config = folder / f"{name}.yaml"
        config.write_text(json.dumps({"clusters": [{"cluster": cluster}], "users": [{"user": user}]}))
        made.append(SimpleNamespace(name=name, cluster=SimpleNamespace(identities={ENGINE: config})))
    return made


@pytest.mark.parametrize(
    ("toolset", "version"), [(ARGOCD, "v3.6"), (FLUX, "v1.9"), (KYVERNO, "v1.19"), (GATEKEEPER, "v3.23")]
)
def test_engines_are_of_the_versions_that_the_text_names(toolset: Toolset, version: str) -> None:
    (program,) = toolset.programs
    assert program.project.version.startswith(f"{version}.")


class TestArgoCD:
    def services(self, owner: OwnedFolder, folder: Path) -> dict[str, list[str]]:
        programs = EnginePrograms(NOWHERE, NOWHERE, NOWHERE)
        hub: Any = None
        with argocd(owner, folder / "engine", hub, NOWHERE, programs) as engine:
            return {each.name: words(each) for each in engine._services}

    @pytest.fixture(autouse=True)
    def with_redis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("graders.services.argocd.find_redis", lambda: "redis-server")

    def test_its_processes_are_those_and_no_others(self, owner: OwnedFolder, tmp_path: Path) -> None:
        found = self.services(owner, tmp_path)
        assert set(found) == {
            "redis-server", "argocd-repo-server", "argocd-applicationset-controller",
            "argocd-application-controller",
        }  # fmt: skip
        controller = found["argocd-application-controller"]
        assert controller[controller.index("--resync") + 1] == "10s"
        assert not [word for words in found.values() for word in words if "plugin" in word]

    def test_it_polls_and_knows_the_spokes_by_name(self, tmp_path: Path) -> None:
        api = TinyApi()
        with api.client(tmp_path) as kube:
            SETUPS["argocd"].furnish(SimpleNamespace(kube=kube), spokes(tmp_path), REFERENCE)  # type: ignore[arg-type]
        assert named(api, "configmaps")["argocd-cm"]["data"]["timeout.reconciliation"] == "10s"
        secrets = named(api, "secrets")
        clusters = [each for name, each in secrets.items() if name.startswith("cluster-")]
        assert {each["stringData"]["name"] for each in clusters} == set(ENVIRONMENTS)
        for each in clusters:
            data, name = each["stringData"], each["stringData"]["name"]
            assert each["metadata"]["labels"]["lab/env"] == name
            assert (data["namespaces"], data["clusterResources"]) == ("web", "true")
            assert f"cert-{name}" in data["config"]

    def test_no_other_destination_is_taken_and_the_hub_is_in_cluster(self, tmp_path: Path) -> None:
        text = (
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\n"
            "spec: {destination: {name: NAME, namespace: argocd}}\n"
        )
        (tmp_path / "hub").mkdir()
        file = tmp_path / "hub" / "it.yaml"
        for name in (*ENVIRONMENTS, "in-cluster"):
            file.write_text(text.replace("NAME", name))
            examine_hub(tmp_path, SETUPS["argocd"])
        file.write_text(text.replace("NAME", "hub"))
        with pytest.raises(BadSubmission, match="is no cluster of the fleet"):
            examine_hub(tmp_path, SETUPS["argocd"])


class TestFlux:
    def services(self, owner: OwnedFolder, folder: Path) -> dict[str, list[str]]:
        with flux(owner, folder / "engine", NOWHERE, NOWHERE, "http://127.0.0.1:1/fleet.git") as engine:
            return {each.name: words(each) for each in engine._services}

    def test_a_publisher_stands_in_for_source_controller_and_nothing_else_runs(
        self, owner: OwnedFolder, tmp_path: Path
    ) -> None:
        found = self.services(owner, tmp_path)
        assert set(found) == {"publisher", "kustomize-controller"}
        assert "graders.services.publisher" in found["publisher"]

    def test_how_it_reconciles(self, owner: OwnedFolder, tmp_path: Path) -> None:
        flags = self.services(owner, tmp_path)["kustomize-controller"]
        assert "--requeue-dependency=2s" in flags
        assert "--no-cross-namespace-refs" in flags
        (first,) = (flag for flag in flags if flag.startswith("--custom-apply-stage-kinds="))
        assert set(first.partition("=")[2].split(",")) == {
            "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
            "templates.gatekeeper.sh/ConstraintTemplate",
        }

    def test_a_health_check_goes_on_past_a_new_revision(self, owner: OwnedFolder, tmp_path: Path) -> None:
        """The feature that would end it is off unless somebody names it."""
        flags = self.services(owner, tmp_path)["kustomize-controller"]
        assert not [flag for flag in flags if "CancelHealthCheckOnNewRevision" in flag]

    def test_its_events_go_to_whoever_keeps_them_on_the_hub(self, owner: OwnedFolder, tmp_path: Path) -> None:
        found = self.services(owner, tmp_path)
        (events,) = (flag for flag in found["kustomize-controller"] if flag.startswith("--events-addr="))
        assert events == f"--events-addr=http://127.0.0.1:{found['publisher'][-1]}/events"

    def test_the_secrets_that_lead_to_the_spokes_are_there(self, tmp_path: Path) -> None:
        api = TinyApi()
        with api.client(tmp_path) as kube:
            SETUPS["flux"].furnish(SimpleNamespace(kube=kube), spokes(tmp_path), REFERENCE)  # type: ignore[arg-type]
        secrets = named(api, "secrets")
        assert set(secrets) == {*(f"{name}-kubeconfig" for name in ENVIRONMENTS), "sops-age"}
        assert {path for path, _ in created(api) if path.endswith("/secrets")} == {
            "/api/v1/namespaces/flux-system/secrets"
        }
        for name in ENVIRONMENTS:
            (text,) = secrets[f"{name}-kubeconfig"]["stringData"].values()
            assert set(secrets[f"{name}-kubeconfig"]["stringData"]) == {"value"}
            assert f"cert-{name}" in text
        assert list(secrets["sops-age"]["stringData"].values()) == [TOKEN.age_key.read_text()]

    @pytest.mark.parametrize(
        ("version", "kind"),
        [
            ("helm.toolkit.fluxcd.io/v2", "HelmRelease"),
            ("image.toolkit.fluxcd.io/v1", "ImagePolicy"),
            ("image.toolkit.fluxcd.io/v1", "ImageUpdateAutomation"),
            ("notification.toolkit.fluxcd.io/v1beta3", "Alert"),
            ("notification.toolkit.fluxcd.io/v1", "Receiver"),
        ],
    )
    def test_what_does_not_run_is_refused_and_has_no_kind(
        self, version: str, kind: str, tmp_path: Path
    ) -> None:
        (tmp_path / "hub").mkdir()
        text = f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{}}\n"
        (tmp_path / "hub" / "it.yaml").write_text(text)
        with pytest.raises(BadSubmission, match=r"hub/it.yaml:1: .*is no object of flux"):
            examine_hub(tmp_path, SETUPS["flux"])
        assert kind not in {each["spec"]["names"]["kind"] for each in SETUPS["flux"].definitions()}


class TestKyverno:
    def test_it_is_the_admission_controller_alone(self, owner: OwnedFolder, tmp_path: Path) -> None:
        kube: Any = None
        with kyverno(owner, tmp_path, kube, NOWHERE, Path("/nowhere/kyverno")) as made:
            flags = words(made._service)
        assert flags[0] == "/nowhere/kyverno"
        assert {"--admissionReports=false", "--enableReporting="} <= set(flags)
        # Exceptions are off unless somebody switches them on.
        assert not [flag for flag in flags if "olicyException" in flag]

    def test_the_system_s_namespaces_never_come_to_it(self, tmp_path: Path) -> None:
        api = TinyApi()
        service: Any = None
        with api.client(tmp_path) as kube:
            Kyverno(service, kube).furnish()
        settings = named(api, "configmaps")["kyverno"]["data"]
        (left_out,) = yaml.safe_load(settings["webhooks"])["namespaceSelector"]["matchExpressions"]
        assert (left_out["key"], left_out["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        excluded = {"kube-system", "kube-public", "kube-node-lease", "kyverno"}
        assert set(left_out["values"]) == excluded
        assert set(re.findall(r"\[\*/\*,([a-z-]+),\*\]", settings["resourceFilters"])) == excluded


class TestGatekeeper:
    def test_it_is_asked_about_all_but_noise_everywhere_but_in_the_system_s_namespaces(self) -> None:
        serving = WebhookServing(Path(), b"PEM", None)  # type: ignore[arg-type]
        made = Gatekeeper(None, None, (1, 2), serving)._configuration()  # type: ignore[arg-type]
        admit = made["webhooks"][0]
        (rule,) = admit["rules"]
        assert set(rule["operations"]) == {"CREATE", "UPDATE"}
        assert (rule["apiGroups"], rule["apiVersions"], "*" in rule["resources"]) == (["*"], ["*"], True)
        conditions = " ".join(each["expression"] for each in admit["matchConditions"])
        noise = {"events", "leases", "endpoints", "endpointslices", "authentication.k8s.io",
                 "authorization.k8s.io"}  # fmt: skip
        assert set(re.findall(r'"([a-z0-9.]+)"', conditions)) == noise
        (names,) = (
            each["values"]
            for each in admit["namespaceSelector"]["matchExpressions"]
            if each["key"] == "kubernetes.io/metadata.name"
        )
        assert set(names) == {"kube-system", "kube-public", "kube-node-lease", "gatekeeper-system"}

    def test_it_audits_and_mutates_nothing_and_asks_nobody(self, owner: OwnedFolder, tmp_path: Path) -> None:
        serving = WebhookServing(Path(), b"PEM", None)  # type: ignore[arg-type]
        with gatekeeper(owner, tmp_path, None, NOWHERE, NOWHERE, serving) as made:  # type: ignore[arg-type]
            flags = words(made._service)
        operations = {flag.partition("=")[2] for flag in flags if flag.startswith("--operation=")}
        assert operations == {"webhook", "status", "generate"}
        assert "--enable-external-data=false" in flags
        assert "--disable-opa-builtin=http.send" in flags

    def test_it_runs_beside_spokes_where_it_is_named(self) -> None:
        assert [each.name for each in engines_named(["gatekeeper"])] == ["gatekeeper"]
        assert engines_named(["vap"]) == ()


class TestSpokes:
    def test_they_have_four_nodes_in_two_zones(self) -> None:
        nodes = load_course().find_lab("lab2").nodes
        assert len(nodes) == 4
        assert len({node.zone for node in nodes}) == 2

    def test_the_engine_is_a_user_without_groups_there_and_nobody_on_the_hub(self, tmp_path: Path) -> None:
        lab = load_course().find_lab("lab2")
        settings = RunSettings(
            limits=Limits(), tool_limits=Limits(), deadline_s=lab.deadline_s, needs=lab.needs
        )
        specs = cluster_specs(settings, tmp_path / "stages.yaml", SETUPS["argocd"], ())
        assert list(specs) == [HUB, *ENVIRONMENTS]
        for name in ENVIRONMENTS:
            assert specs[name].identities[ENGINE] == ()
        assert ENGINE not in specs[HUB].identities

    def test_rights_are_applied_once_after_the_bare_namespaces(self, tmp_path: Path) -> None:
        api = TinyApi()
        api.paths["/apis/rbac.authorization.k8s.io/v1"] = lambda: (200, {"resources": _RBAC})
        access = access_objects(REFERENCE, SHAPE)["dev"]
        with api.client(tmp_path) as kube:
            furnish_spoke(_live(kube), access, kinds_of(()), REFERENCE)
        assert created(api) == [("/api/v1/namespaces", {"metadata": {"name": name}}) for name in NAMESPACES]
        applied = [body for verb, _, _, body, _ in api.asked if verb == "PATCH"]
        assert [(each["kind"], each["metadata"]["name"]) for each in applied] == [
            (each["kind"], each["metadata"]["name"]) for each in access
        ]
        wrote = [verb for verb, *_ in api.asked if verb != "GET"]
        assert wrote == ["POST"] * len(NAMESPACES) + ["PATCH"] * len(access)

    def test_the_hub_s_objects_go_to_the_engine_s_namespace(self) -> None:
        assert SETUPS["argocd"].namespace == "argocd"
        assert SETUPS["flux"].namespace == "flux-system"

    def test_a_pod_that_is_to_do_something_never_does(self, tmp_path: Path) -> None:
        """Nobody runs containers, so a Job's pod ends only where a stage says so, and none does by itself."""
        stages = list(yaml.safe_load_all(write_stages(tmp_path / "stages.yaml", "web").read_text()))
        ending = [each for each in stages if "Succeeded" in str(each["spec"]["next"])]
        assert ending
        for each in ending:
            keys = [found["key"] for found in each["spec"]["selector"]["matchExpressions"]]
            assert any("kubeproof.dev/exit-code" in key for key in keys)


_RBAC = [
    {"kind": kind, "name": f"{kind.lower()}s", "namespaced": "Cluster" not in kind}
    for kind in ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")
]


def _live(kube: Kube) -> Any:
    """A spoke whose watches follow nothing."""
    watches, cluster = SimpleNamespace(follow=lambda *_: None), SimpleNamespace(capabilities=frozenset())
    return SimpleNamespace(name="dev", kube=kube, watches=watches, cluster=cluster)


def test_keys_that_are_handed_out_belong_to_those_of_the_grader() -> None:
    from cryptography import x509

    from graders.services.unsealer import read_private, seal, unseal

    private = read_private(TOKEN.sealing_key.read_bytes())
    certificate = x509.load_pem_x509_certificate((REPOSITORY / "labs/lab2/sealing.crt").read_bytes())
    public: Any = certificate.public_key()
    assert public.public_numbers() == private.public_key().public_numbers()
    assert unseal(private, seal(public, b"a token", "web/web-token"), "web/web-token") == b"a token"
