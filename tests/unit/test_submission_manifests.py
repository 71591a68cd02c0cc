"""Kubernetes manifests: which files are read, in what order they are applied, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from graders.faults import BadSubmission, InfraFault
from graders.submissions.manifests import Manifest, load_manifests


def named(kind: str, name: str = "x", namespace: str = "", version: str = "v1") -> str:
    where = f", namespace: {namespace}" if namespace else ""
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}{where}}}\n"


def put(root: Path, path: str, text: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def refused(root: Path, *paths: str) -> str:
    with pytest.raises(BadSubmission) as caught:
        load_manifests(root, paths or ("deploy",))
    assert caught.value.fix
    return str(caught.value)


class TestReading:
    def test_folders_files_streams_and_lists(self, tmp_path: Path) -> None:
        put(
            tmp_path, "deploy/b.yaml", named("Service", "b") + "---\n# nothing\n---\n" + named("Service", "c")
        )
        put(tmp_path, "deploy/sub/a.yml", named("Service", "a"))
        item = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "d"}}
        put(tmp_path, "deploy/sub/l.json", json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}))
        put(tmp_path, "deploy/readme.md", "no manifest")
        put(tmp_path, "deploy/.git/x.yaml", "no manifest")
        put(tmp_path, "more.yaml", named("Service", "e"))
        found = load_manifests(tmp_path, ["deploy", "more.yaml"])
        assert [(m.name, m.file, m.line) for m in found] == [
            ("b", "deploy/b.yaml", 1),
            ("c", "deploy/b.yaml", 7),
            ("a", "deploy/sub/a.yml", 1),
            ("d", "deploy/sub/l.json", 1),
            ("e", "more.yaml", 1),
        ]
        assert found[3] == Manifest(item, "deploy/sub/l.json", 1)

    def test_what_others_need_comes_first(self, tmp_path: Path) -> None:
        kinds = ["Deployment", "RoleBinding", "MLTrainingJob", "ConfigMap", "ServiceAccount", "ClusterRole"]
        kinds += ["CustomResourceDefinition", "Namespace"]
        put(tmp_path, "all.yaml", "---\n".join(map(named, kinds)))
        assert [manifest.kind for manifest in load_manifests(tmp_path, ["all.yaml"])] == [
            "Namespace",
            "CustomResourceDefinition",
            "ServiceAccount",
            "RoleBinding",
            "ClusterRole",
            "ConfigMap",
            "Deployment",
            "MLTrainingJob",
        ]

    def test_the_same_name_in_two_namespaces_or_groups_is_no_twin(self, tmp_path: Path) -> None:
        texts = [named("Role", "x", "a"), named("Role", "x", "b"), named("Role", "x", "a", "other/v1")]
        put(tmp_path, "all.yaml", "---\n".join(texts))
        assert len(load_manifests(tmp_path, ["all.yaml"])) == 3


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("kind: Pod\nmetadata: {name: x}\n", "deploy/m.yaml:1: has no apiVersion"),
            ("apiVersion: v1\nkind: 3\n", "deploy/m.yaml:2: has no kind"),
            ("apiVersion: v1\nkind: Pod\n", 'deploy/m.yaml:1: the "Pod" has no metadata.name'),
            ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: 5\n", ':3: the "Pod" has no metadata.name'),
            ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: x}\n", "fix: give it a name"),
            ("- a\n", "deploy/m.yaml:1: is no Kubernetes manifest"),
            ("apiVersion: v1\nkind: List\nitems:\n- kind: Pod\n", "deploy/m.yaml:4: has no apiVersion"),
            ("apiVersion: v1\nkind: List\nitems:\n- 1\n", "deploy/m.yaml:4: is no Kubernetes manifest"),
            ("apiVersion: v1\nkind: Config\nclusters: []\n", "deploy/m.yaml:1: is a kubeconfig"),
            ("clusters: []\nusers: []\ncontexts: []\n", "deploy/m.yaml:1: is a kubeconfig"),
            ("a: [\n", "deploy/m.yaml:2: is not valid YAML"),
            ("{{ .Values.x }}\n", "deploy/m.yaml:1: a key is not plain text"),
            (named("Pod") + "---\n" + named("Pod"), 'deploy/m.yaml:5: "Pod" "x" is there twice (first at'),
        ],
    )
    def test_of_a_file(self, tmp_path: Path, text: str, says: str) -> None:
        put(tmp_path, "deploy/m.yaml", text)
        assert says in refused(tmp_path)

    def test_of_an_empty_folder(self, tmp_path: Path) -> None:
        (tmp_path / "deploy").mkdir()
        assert "deploy: holds no manifests" in refused(tmp_path)
        put(tmp_path, "deploy/x.yaml", "# later\n")
        assert "deploy: holds no manifests" in refused(tmp_path)

    def test_of_too_many(self, tmp_path: Path) -> None:
        put(tmp_path, "deploy/m.yaml", "---\n".join(named("Pod", f"p{n}") for n in range(201)))
        assert "deploy/m.yaml:801: the submission holds over 200 manifests" in refused(tmp_path)

    def test_of_a_folder_outside(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        put(tmp_path, "out/m.yaml", named("Pod"))
        (tmp_path / "in" / "deploy").symlink_to("../out")
        assert "deploy: leads out of the submission" in refused(tmp_path / "in")

    def test_a_kustomization_below_a_folder_that_has_none(self, tmp_path: Path) -> None:
        put(tmp_path, "deploy/base/kustomization.yaml", "resources: []")
        message = refused(tmp_path)
        assert (
            "deploy/base/kustomization.yaml: is a kustomization in a folder that has none itself" in message
        )
        assert 'name "deploy/base" under manifests' in message


@pytest.fixture
def kubectl() -> Path:
    places = [os.environ.get("KUBEPROOF_BINARIES", ""), str(Path(sys.prefix) / "bin"), os.environ["PATH"]]
    found = shutil.which("kubectl", path=os.pathsep.join(filter(None, places)))
    if found is None:
        pytest.skip("kubectl is not installed here")
    return Path(found)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    put(tmp_path, "config/base/ns.yaml", named("Namespace", "mltj-system"))
    put(
        tmp_path,
        "config/base/all.yaml",
        named("Deployment", "op", version="apps/v1") + "---\n" + named("Role", "r"),
    )
    put(tmp_path, "config/base/kustomization.yaml", "resources: [ns.yaml, all.yaml]\n")
    put(tmp_path, "config/stray.yaml", named("Pod", "not-used"))
    put(
        tmp_path,
        "config/default/kustomization.yaml",
        "resources: [../base]\nnamespace: mltj-system\nlabels: [{pairs: {team: ada}}]\n"
        "patches:\n- path: p.yaml\n",
    )
    put(
        tmp_path,
        "config/default/p.yaml",
        named("Deployment", "op", version="apps/v1") + "spec: {replicas: 2}\n",
    )
    return tmp_path


class TestKustomize:
    def test_a_kustomization_alone_is_used(self, tree: Path, kubectl: Path) -> None:
        found = load_manifests(tree, ["config/default"], kubectl=kubectl)
        assert [(m.kind, m.file, m.line) for m in found] == [
            ("Namespace", "config/base/ns.yaml", 1),
            ("Role", "config/base/all.yaml", 5),
            ("Deployment", "config/base/all.yaml", 1),
        ]
        assert found[2].data["spec"] == {"replicas": 2}
        assert found[2].data["metadata"] == {
            "name": "op",
            "namespace": "mltj-system",
            "labels": {"team": "ada"},
        }
        assert load_manifests(tree, ["config/default/kustomization.yaml"], kubectl=kubectl) == found

    def test_what_it_generates_is_located_at_itself(self, tree: Path, kubectl: Path) -> None:
        put(tree, "gen/kustomization.yaml", "configMapGenerator: [{name: c, files: [k=v.txt]}]\n")
        put(tree, "gen/v.txt", "value")
        (found,) = load_manifests(tree, ["gen"], kubectl=kubectl)
        assert (found.kind, found.file, found.data["data"]) == (
            "ConfigMap",
            "gen/kustomization.yaml",
            {"k": "value"},
        )

    def test_what_kustomize_refuses(self, tree: Path, kubectl: Path) -> None:
        put(tree, "config/default/p.yaml", named("Deployment", "other", version="apps/v1"))
        with pytest.raises(BadSubmission, match=r"kustomization\.yaml: kustomize refuses it"):
            load_manifests(tree, ["config/default"], kubectl=kubectl)

    def test_older_ways_to_patch(self, tree: Path, kubectl: Path) -> None:
        put(
            tree,
            "old/kustomization.yaml",
            "bases: [../config/base]\npatchesStrategicMerge:\n- p.yaml\n- |\n"
            "  apiVersion: apps/v1\n  kind: Deployment\n  metadata: {name: op}\n  spec: {paused: true}\n"
            "patchesJson6902:\n- path: j.yaml\n  target: {kind: Role, name: r}\n"
            "configurations: [c.yaml]\n"
            "vars:\n- name: NS\n  objref: {kind: Namespace, name: mltj-system, apiVersion: v1}\n",
        )
        put(tree, "old/p.yaml", named("Deployment", "op", version="apps/v1") + "spec: {replicas: 3}\n")
        put(tree, "old/j.yaml", '[{"op": "add", "path": "/rules", "value": []}]')
        put(tree, "old/c.yaml", "namePrefix: []\n")
        role, deployment = load_manifests(tree, ["old"], kubectl=kubectl)[1:]
        assert deployment.data["spec"] == {"replicas": 3, "paused": True}
        assert role.data["rules"] == []

    def test_the_layout_of_kubebuilder(self, tmp_path: Path, kubectl: Path) -> None:
        """As `kubebuilder init` and `create api` leave it, made short."""
        layout = {
            "default/kustomization.yaml": (
                "namespace: mltj-system\nnamePrefix: mltj-\n#labels:\n#- includeSelectors: true\n"
                "resources:\n- ../crd\n- ../rbac\n- ../manager\n#- ../webhook\n- metrics_service.yaml\n"
                "patches:\n- path: manager_metrics_patch.yaml\n  target:\n    kind: Deployment\n"
            ),
            "default/metrics_service.yaml": named("Service", "metrics", "system"),
            "default/manager_metrics_patch.yaml": '- {op: add, path: "/spec/replicas", value: 1}\n',
            "crd/kustomization.yaml": (
                "resources:\n- bases/x.yaml\n# +kubebuilder:scaffold:crdkustomizeresource\n\npatches:\n"
                "# +kubebuilder:scaffold:crdkustomizewebhookpatch\n\n#configurations:\n#- config.yaml\n"
            ),
            "crd/bases/x.yaml": named("CustomResourceDefinition", "x.y.z", version="apiextensions.k8s.io/v1"),
            "rbac/kustomization.yaml": "resources:\n- service_account.yaml\n- role.yaml\n",
            "rbac/service_account.yaml": named("ServiceAccount", "controller-manager", "system"),
            "rbac/role.yaml": named("ClusterRole", "manager-role", version="rbac.authorization.k8s.io/v1"),
            "manager/kustomization.yaml": (
                "resources:\n- manager.yaml\n"
                "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
                "images:\n- name: controller\n  newName: controller\n  newTag: v1\n"
            ),
            "manager/manager.yaml": named("Namespace", "system")
            + "---\n"
            + named("Deployment", "controller-manager", "system", "apps/v1")
            + "spec: {template: {spec: {containers: [{name: manager, image: controller:latest}]}}}\n",
            "prometheus/kustomization.yaml": "resources:\n- monitor.yaml\n",
            "prometheus/monitor.yaml": named("ServiceMonitor", "m", "system", "monitoring.coreos.com/v1"),
            "samples/kustomization.yaml": "resources:\n- x.yaml\n",
        }
        for path, text in layout.items():
            put(tmp_path, f"config/{path}", text)
        found = load_manifests(tmp_path, ["config/default"], kubectl=kubectl)
        assert [(m.kind, m.name) for m in found] == [
            ("Namespace", "mltj-system"),
            ("CustomResourceDefinition", "x.y.z"),
            ("ServiceAccount", "mltj-controller-manager"),
            ("ClusterRole", "mltj-manager-role"),
            ("Service", "mltj-metrics"),
            ("Deployment", "mltj-controller-manager"),
        ]
        assert 'name "config/default" under manifests' in refused(tmp_path, "config")

    def test_without_kubectl_the_machine_is_at_fault(self, tree: Path) -> None:
        with pytest.raises(InfraFault, match="needs kubectl to be rendered"):
            load_manifests(tree, ["config/default"])

    @pytest.mark.parametrize("program", ["#!/bin/sh\nexit 7\n", "#!/bin/sh\nkill -9 $$\n", "#!/no/such\n"])
    def test_a_kubectl_that_breaks_is_the_machine_s_fault(self, tree: Path, program: str) -> None:
        put(tree, "kubectl", program)
        (tree / "kubectl").chmod(0o755)
        with pytest.raises(InfraFault, match="ended with status"):
            load_manifests(tree, ["config/default"], kubectl=tree / "kubectl")

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (
                "resources: ['https://example.com/x.yaml']",
                '"https://example.com/x.yaml" is not a path inside',
            ),
            ("resources: [github.com/a/b]", '"github.com/a/b" is not a path inside'),
            ("resources: ['git@host:a/b']", "is not a path inside"),
            ("resources: ['x?ref=main']", "is not a path inside"),
            ("resources: [/etc]", '"/etc" is not a path inside'),
            ("components: [../..]", '"../.." leads out of the submission'),
            ("resources: [link/../y]", '"link/../y" goes up again after a link'),
            ("resources: [up/../../x]", "leads out of the submission"),
            ("resources: [none.yaml]", ':1: "none.yaml" does not exist'),
            ("resources:\n- bare", ':2: the folder "bare" has no kustomization'),
            ("resources: [.]", '"." leads back to itself'),
            ("resources: [5]", "a path is expected here"),
            ("resources: {a: b}", '"resources" is not a list'),
            ("patches: [a]", '"patches" has an entry that is no mapping'),
            ("patches: [{path: 'http://127.0.0.1/x'}]", "is not a path inside"),
            (
                "configMapGenerator: [{name: c, files: ['k=https://x/y']}]",
                '"https://x/y" is not a path inside',
            ),
            ("secretGenerator: [{name: c, envs: [../../secret]}]", "leads out of the submission"),
            ("secretGenerator: [{name: c, env: /etc/shadow}]", "is not a path inside"),
            ("bases: ['github.com/a/b?ref=x']", "is not a path inside"),
            ("bases: [none]", '"none" does not exist'),
            ("patchesStrategicMerge: ['https://x/y.yaml']", '"https://x/y.yaml" is not a path inside'),
            ('patchesStrategicMerge: ["https://x/y\\n"]', "is not a path inside"),
            ('patchesStrategicMerge: ["https://x/y\\na: b"]', "is not a path inside"),
            ("patchesJson6902: [{path: ../../secret}]", "leads out of the submission"),
            ("configurations: [/etc/passwd]", "is not a path inside"),
            ("crds: ['https://x/y.json']", "is not a path inside"),
            ("helmCharts: [{name: x}]", 'the key "helmCharts" of a kustomization is not supported'),
            ("generators: [g.yaml]", 'the key "generators" of a kustomization is not supported'),
            ("transformers: [g.yaml]", "is not supported"),
            ("openapi: {path: x}", "is not supported"),
            ("[]", "is no kustomization"),
        ],
    )
    def test_nothing_is_fetched_or_run(self, tmp_path: Path, text: str, says: str) -> None:
        """Refused before kubectl is looked for: none is given here."""
        root = tmp_path / "in"
        (root / "k" / "bare").mkdir(parents=True)
        (root / "a" / "b").mkdir(parents=True)
        (root / "k" / "link").symlink_to("../a/b")
        (root / "k" / "up").symlink_to("..")
        put(root, "x", named("Pod"))
        put(root, "a/y", named("Pod"))
        put(tmp_path, "secret", "A=b")
        put(root, "k/kustomization.yaml", text)
        message = refused(root, "k")
        assert message.startswith("k/kustomization.yaml:")
        assert says in message

    def test_bases_that_double_on_every_level(self, tmp_path: Path) -> None:
        put(tmp_path, "l0/kustomization.yaml", "namePrefix: a\n")
        for level in range(1, 12):
            below = f"../l{level - 1}"
            put(tmp_path, f"l{level}/a/kustomization.yaml", f"resources: [../{below}]\nnamePrefix: a\n")
            put(tmp_path, f"l{level}/b/kustomization.yaml", f"resources: [../{below}]\nnamePrefix: b\n")
            put(tmp_path, f"l{level}/kustomization.yaml", "resources: [a, b]\n")
        assert "over 100 kustomizations are read to render it" in refused(tmp_path, "l11")

    def test_a_base_that_leads_back(self, tmp_path: Path) -> None:
        put(tmp_path, "a/kustomization.yaml", "resources: [../b]\n")
        put(tmp_path, "b/kustomization.yaml", "resources: [../a]\n")
        assert '"../a" leads back to itself' in refused(tmp_path, "a")

    def test_much_to_read(self, tmp_path: Path) -> None:
        put(tmp_path, "big", "x" * 5_000_000)
        generator = "configMapGenerator: [{name: a, files: [big]}, {name: b, files: [big]}]"
        put(tmp_path, "kustomization.yaml", generator)
        assert "over 8 MiB are read to render it" in refused(tmp_path, "kustomization.yaml")
