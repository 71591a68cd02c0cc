"""What is handed in for lab 2: submission.yaml, the release file, placeholders, hub/ and access/."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.documents import load_document, parse
from graders.faults import BadSubmission
from graders.gitops.argocd import engine_settings
from graders.gitops.hub import examine_hub, hub_objects
from graders.gitops.manifests import refused
from graders.gitops.releasefile import ReleaseFile
from graders.gitops.rights import access_objects
from graders.lab2.block import Lab2Block, Lab2Manifest
from graders.lab2.engines import SETUPS, SHAPE
from graders.lab2.handin import Values, check_files, fill, filled
from graders.lab2.images import digest_of, images
from graders.lab2.posture import posture_problems
from graders.lab2.scenario import examine
from graders.lab2.tracks.install import check_number
from graders.model import Submission
from graders.paths import REPOSITORY
from graders.submissions import load_submission
from graders.submissions.rendering import Rendered, Renderer

REFERENCE = REPOSITORY / "solutions" / "lab2" / "reference"
KEY = "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n"
VALUES = Values("http://127.0.0.1:1/fleet.git", "127.0.0.1:5000", "127.0.0.1:5000/cache@sha256:1", "u", KEY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REFERENCE, tmp_path / "fleet"))


def block_of(folder: Path, **changes: object) -> Lab2Manifest:
    data = yaml.safe_load((folder / "submission.yaml").read_text("utf-8"))
    text = {key: value for key, value in {**data, **changes}.items() if key not in ("schema", "lab")}
    (folder / "block.yaml").write_text(yaml.safe_dump(text))
    document = load_document(folder / "block.yaml", shown_as="submission.yaml")
    return parse(document, Lab2Block, context={"root": folder}).settled()


class TestSubmissionYaml:
    def test_promises_are_seconds_and_have_defaults(self, folder: Path) -> None:
        block = block_of(folder, slo={"sync": "12s"})
        assert (block.promises.sync_s, block.promises.drift_s, block.promises.promote_s) == (12.0, 20.0, 90.0)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"slo": {"sync": "31s"}}, "'31s' is no time up to 30s"),
            ({"slo": {"drift": "fast"}}, "'fast' is no time"),
            ({"slo": {"drift": "31s"}}, "'31s' is no time up to 30s"),
            ({"slo": {"promote": "91s"}}, "'91s' is no time up to 90s"),
            ({"promotion": {"mode": "controller", "timeout": "31s"}}, "'31s' is no time up to 30s"),
            ({"promotion": {"mode": "command"}}, "mode command has no command"),
            ({"promotion": {"mode": "controller", "command": ["x"]}}, "mode controller runs no command"),
            ({"release": {"file": "nowhere.yaml", "pointer": "/a", "value": "digest"}}, "does not exist"),
            ({"release": {"file": "fleet.yaml", "pointer": "a", "value": "digest"}}, "no JSON pointer"),
            ({"engine": "jenkins"}, "argocd"),
            ({"policyEngines": ["vap", "vap"]}, "twice"),
            ({"policyEngines": []}, "policyEngines"),
            ({"colour": "red"}, "colour"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(
        self, folder: Path, changes: dict[str, object], said: str
    ) -> None:
        with pytest.raises(BadSubmission) as caught:
            block_of(folder, **changes)
        message = str(caught.value).replace('"', "'")
        assert said in message
        assert message.startswith("submission.yaml:")
        assert "fix: " in message


class TestRelease:
    RELEASE = ReleaseFile("values.yaml", ("release", "digest"), "digest")

    def test_only_the_value_changes(self) -> None:
        raw = b"# why\nrelease:\n  digest: sha256:0   # here\nother: [1, 2]\n"
        assert self.RELEASE.placed(raw, "sha256:1") == raw.replace(b"sha256:0", b'"sha256:1"')

    def test_json_and_lists(self) -> None:
        release = ReleaseFile("values.json", ("images", "1"), "digest")
        assert release.placed(b'{"images": ["a", "b"]}', "c") == b'{"images": ["a", "c"]}'

    @pytest.mark.parametrize(
        ("raw", "placed"),
        [
            ("release:\n  digest:\nother: 1\n", 'release:\n  digest: "sha256:1"\nother: 1\n'),
            ("release:\n  digest:  # v1\n", 'release:\n  digest: "sha256:1"  # v1\n'),
            (
                "release:\n  digest: &it sha256:0\nagain: *it\n",
                'release:\n  digest: &it "sha256:1"\nagain: *it\n',
            ),
            ("\ufeffrelease: {digest: x}\n", '\ufeffrelease: {digest: "sha256:1"}\n'),
        ],
    )
    def test_what_is_empty_or_referred_to_is_written_as_well(self, raw: str, placed: str) -> None:
        made = self.RELEASE.placed(raw.encode(), "sha256:1").decode()
        assert made == placed
        assert yaml.safe_load(made)["release"]["digest"] == "sha256:1"

    @pytest.mark.parametrize("raw", [b"release: {}\n", b"release: [a]\n", b"release: {digest: {}}\n", b"{"])
    def test_a_file_without_such_a_place_is_refused(self, raw: bytes) -> None:
        with pytest.raises(BadSubmission, match=r"values.yaml:1"):
            self.RELEASE.placed(raw, "sha256:1")


class TestPlaceholders:
    def test_a_key_is_indented_like_its_place(self) -> None:
        told = fill("key: |\n    ${LAB_COSIGN_PUB}\nother: ${LAB_REGISTRY}/web\n", VALUES)
        assert yaml.safe_load(told) == {"key": KEY, "other": "127.0.0.1:5000/web"}

    def test_what_is_not_the_lab_s_stays(self) -> None:
        assert fill("${HOME} ${LAB_OTHER} $LAB_REGISTRY", VALUES) == "${HOME} ${LAB_OTHER} $LAB_REGISTRY"

    def test_every_text_file_is_filled_and_the_key_is_there(self, folder: Path) -> None:
        (folder / "picture.bin").write_bytes(b"\xff${LAB_REGISTRY}")
        files = filled(folder, VALUES)
        assert b"127.0.0.1:5000" in files["policies/images.yaml"]
        assert files["picture.bin"] == b"\xff${LAB_REGISTRY}"
        assert files["keys/cosign.pub"] == KEY.encode()


class TestFolders:
    def test_the_reference_is_fine(self, folder: Path) -> None:
        examine(load_submission(folder, lab="lab2", block=Lab2Block))

    def test_a_link_is_refused(self, folder: Path) -> None:
        (folder / "base" / "link").symlink_to("web.yaml")
        with pytest.raises(BadSubmission, match=r"base/link.*symbolic link"):
            check_files(folder, block_of(folder).release)

    def test_a_release_file_that_is_a_folder_is_refused(self, folder: Path) -> None:
        with pytest.raises(BadSubmission, match=r"submission.yaml.*fleet, which is no file"):
            check_files(folder, ReleaseFile("fleet", ("data", "digest"), "digest"))

    def test_a_submodule_that_is_not_there_is_refused_with_its_line(self, folder: Path) -> None:
        (folder / ".gitmodules").write_text('[submodule "lib"]\n\tpath = charts/lib\n\turl = https://x/y\n')
        with pytest.raises(BadSubmission, match=r".gitmodules:2: the submodule 'charts/lib' is not there"):
            check_files(folder, block_of(folder).release)
        (folder / "charts" / "lib" / "base").mkdir(parents=True)
        (folder / "charts" / "lib" / "base" / "x.yaml").write_text("kind: X\n")
        check_files(folder, block_of(folder).release)

    def test_a_remote_base_is_refused_with_its_line(self, folder: Path) -> None:
        file = folder / "clusters" / "dev" / "kustomization.yaml"
        file.write_text("resources:\n  - ../../base\n  - https://github.com/some/where?ref=main\n")
        with pytest.raises(BadSubmission, match=r"clusters/dev/kustomization.yaml:3"):
            check_files(folder, block_of(folder).release)

    @pytest.mark.parametrize(
        ("text", "line", "said"),
        [
            ("resources:\n  - gitlab.com/some/where//base\n", 2, "is read from elsewhere"),
            ("patches:\n  - path: https://git.invalid/patch.yaml\n", 2, "is read from elsewhere"),
            (
                "configMapGenerator:\n  - name: x\n    files: [a=https://git.invalid/a?b=c]\n",
                3,
                "from elsewhere",
            ),
            ("components: [git@git.invalid:a/b]\n", 1, "is read from elsewhere"),
            ("helmCharts:\n  - {name: x, repo: https://charts.invalid}\n", 1, "helmCharts is not done here"),
        ],
    )
    def test_whatever_a_kustomization_would_fetch_is_refused(
        self, folder: Path, text: str, line: int, said: str
    ) -> None:
        (folder / "clusters" / "dev" / "kustomization.yaml").write_text(text)
        with pytest.raises(BadSubmission, match=rf"clusters/dev/kustomization.yaml:{line}: .*{said}"):
            check_files(folder, block_of(folder).release)

    def test_a_folder_where_the_key_is_to_be_is_refused(self, folder: Path) -> None:
        (folder / "keys" / "cosign.pub").mkdir(parents=True)
        with pytest.raises(BadSubmission, match=r"keys/cosign.pub: is in the way of keys/cosign.pub"):
            check_files(folder, block_of(folder).release)

    def test_a_file_where_the_grader_needs_a_folder_is_refused(self, folder: Path) -> None:
        (folder / "docs").write_text("Nothing.")
        with pytest.raises(BadSubmission, match=r"docs: is in the way of docs/note.txt"):
            check_files(folder, block_of(folder).release)

    def test_an_environment_without_a_folder_is_refused(self, folder: Path) -> None:
        shutil.rmtree(folder / "clusters" / "prod")
        with pytest.raises(BadSubmission, match=r"clusters/prod.*there is no such folder"):
            check_files(folder, block_of(folder).release)

    def test_a_large_file_is_refused(self, folder: Path) -> None:
        (folder / "large.bin").write_bytes(bytes(11 * 1024 * 1024))
        with pytest.raises(BadSubmission, match=r"large.bin"):
            check_files(folder, block_of(folder).release)

    def test_so_many_files_and_no_more(self, folder: Path) -> None:
        there = sum(1 for path in folder.rglob("*") if path.is_file())
        (folder / "docs").mkdir(exist_ok=True)
        for nth in range(2000 - there):
            (folder / "docs" / f"{nth}.txt").touch()
        release = block_of(folder).release
        (folder / "block.yaml").unlink()
        check_files(folder, release)
        (folder / "docs" / "one-more.txt").touch()
        with pytest.raises(BadSubmission, match="the submission has 2001 files, and 2000 may be in it"):
            check_files(folder, release)

    @pytest.mark.parametrize(
        ("old", "new", "line", "said"),
        [
            ('"${LAB_GIT_URL}"', "https://git.invalid/x.git", 7, "is not the fleet's repository"),
            ('"${LAB_GIT_URL}"', "file:///etc", 7, "is not the fleet's repository"),
            ("name: dev", "name: elsewhere", 8, "is no cluster of the fleet"),
            ("name: dev", 'server: "https://10.0.0.1:6443"', 8, "is no cluster of the fleet"),
            ("namespace: web", "namespace: kube-system", 8, "is the cluster's own"),
        ],
    )
    def test_an_application_that_leads_out_of_the_fleet_is_refused(
        self, folder: Path, old: str, new: str, line: int, said: str
    ) -> None:
        text = (
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\nspec:\n"
            '  project: default\n  source:\n    {path: a, repoURL: "${LAB_GIT_URL}"}\n'
            "  destination: {name: dev, namespace: web}\n"
        )
        file = folder / "hub" / "more.yaml"
        file.write_text(text)
        examine_hub(folder, SETUPS["argocd"])
        file.write_text(text.replace(old, new))
        with pytest.raises(BadSubmission, match=rf"hub/more.yaml:{line}.*{said}"):
            examine_hub(folder, SETUPS["argocd"])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("dev-kubeconfig", "argocd-secret"),
            ("targetNamespace: web", "targetNamespace: kube-system"),
            ("{secretRef: {name: dev-kubeconfig}}", "{configMapRef: {name: dev-kubeconfig}}"),
            ("{secretRef: {name: dev-kubeconfig}}", "dev-kubeconfig"),
        ],
    )
    def test_a_kustomization_that_leads_out_of_the_fleet_is_refused(
        self, folder: Path, old: str, new: str
    ) -> None:
        for each in (folder / "hub").iterdir():
            each.unlink()
        text = (
            "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: x}\nspec:\n"
            "  sourceRef: {kind: GitRepository, name: fleet}\n  targetNamespace: web\n"
            "  kubeConfig: {secretRef: {name: dev-kubeconfig}}\n"
        )
        file = folder / "hub" / "more.yaml"
        file.write_text(text)
        examine_hub(folder, SETUPS["flux"])
        file.write_text(text.replace(old, new))
        with pytest.raises(BadSubmission, match=r"hub/more.yaml:[67]"):
            examine_hub(folder, SETUPS["flux"])

    def test_a_source_that_is_another_repository_is_refused(self, folder: Path) -> None:
        text = (
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: x}\nspec:\n"
            "  interval: 5s\n  url: https://git.invalid/x.git\n"
        )
        (folder / "hub" / "fleet.yaml").write_text(text)
        with pytest.raises(BadSubmission, match=r"hub/fleet.yaml:6: .*is not the fleet's repository"):
            examine_hub(folder, SETUPS["flux"])

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("metadata: {name: x}", "metadata: x", "it has no name"),
            ("metadata: {name: x}", "metadata: {}", "it has no name"),
            ("metadata: {name: x}", "metadata: {name: 7}", "it has no name"),
            ("spec: {interval: 5s, ref: {branch: main}}", "spec: hello", "its spec is no mapping"),
            ("{branch: main}", "main", "spec.ref is no mapping"),
        ],
    )
    def test_an_object_of_another_shape_is_refused(self, folder: Path, old: str, new: str, said: str) -> None:
        text = (
            "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: x}\n"
            "spec: {interval: 5s, ref: {branch: main}}\n"
        )
        (folder / "hub" / "fleet.yaml").write_text(text.replace(old, new))
        with pytest.raises(BadSubmission, match=rf"hub/fleet.yaml:\d: {said}"):
            examine_hub(folder, SETUPS["flux"])

    def test_what_an_api_server_refuses_is_said_with_its_place(self, folder: Path) -> None:
        (item, *_) = hub_objects(folder, SETUPS["argocd"], Renderer(Path(), None))
        error = refused(folder, "hub", item, "the hub", "spec.project is missing")
        assert re.fullmatch(
            r"hub/\w+.yaml:\d+: the hub refuses \w+ \w+: spec.project .*", str(error).split("\n")[0]
        )

    @pytest.mark.parametrize("asking", ["scmProvider", "pullRequest", "plugin"])
    def test_a_generator_that_asks_somebody_else_is_refused(self, folder: Path, asking: str) -> None:
        text = (
            "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: x}\nspec:\n"
            "  generators:\n    - matrix:\n        generators:\n          - list: {elements: []}\n"
            "          - list: {}\n"
        )
        (folder / "hub" / "more.yaml").write_text(text)
        examine_hub(folder, SETUPS["argocd"])
        (folder / "hub" / "more.yaml").write_text(text.replace("list: {}", f"{asking}: {{api: 'http://x'}}"))
        with pytest.raises(BadSubmission, match=rf"hub/more.yaml:9: the generator {asking} asks somebody"):
            examine_hub(folder, SETUPS["argocd"])

    def test_what_leads_out_of_a_kustomized_hub_is_said_with_its_place(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def look() -> None:
            hub_objects(folder, SETUPS["argocd"], Renderer(Path(), None))

        text = (
            "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\nspec:\n"
            "  source:\n    repoURL: https://example.org/fleet\n"
        )
        (folder / "hub" / "kustomization.yaml").write_text("resources: [fleet.yaml, more.yaml]\n")
        (folder / "hub" / "more.yaml").write_text(text)
        made = Rendered(objects=(yaml.safe_load(text),))
        monkeypatch.setattr("graders.gitops.hub.render", lambda *_: made)
        with pytest.raises(BadSubmission, match=r"hub/more.yaml:6: .*is not the fleet's repository"):
            look()
        (folder / "hub" / "more.yaml").write_text(text.replace("https://example.org/fleet", "${LAB_GIT_URL}"))
        with pytest.raises(BadSubmission, match=r"hub: .*is not the fleet's repository.*\(rendered\)"):
            look()

    def test_a_hub_that_makes_a_thousand_applications_is_refused(self, folder: Path) -> None:
        there: dict[str, list[dict[str, Any]]] = {"applications": [{}] * 1000, "kustomizations": []}
        check_number(lambda resource: there[resource][:100], there, lambda: folder)
        with pytest.raises(BadSubmission, match=r"hub: makes 1000 applications or more, and 100 may be"):
            check_number(lambda resource: there[resource], ["applications"], lambda: folder)

    def test_the_set_that_makes_the_most_is_named(self, folder: Path) -> None:
        (folder / "hub" / "sets.yaml").write_text(
            "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\nmetadata: {name: many}\nspec:\n"
            "  generators: []\n"
        )
        made = {"metadata": {"ownerReferences": [{"kind": "ApplicationSet", "name": "many"}]}}
        there = [made] * 90 + [{"metadata": {"name": "one"}}] * 20
        with pytest.raises(BadSubmission, match=r"hub/sets.yaml:5: ApplicationSet many makes 90 of 110 appl"):
            check_number(lambda _: there, ["applications"], lambda: folder)

    @pytest.mark.parametrize("resource", ["applications", "kustomizations"])
    def test_a_hundred_may_be_there(self, folder: Path, resource: str) -> None:
        check_number(lambda _: [{}] * 100, [resource], lambda: folder)
        with pytest.raises(BadSubmission, match=rf"makes 101 {resource} or more"):
            check_number(lambda _: [{}] * 101, [resource], lambda: folder)

    def test_the_hub_takes_the_engine_s_objects_alone(self, folder: Path) -> None:
        (folder / "hub" / "more.yaml").write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n")
        with pytest.raises(BadSubmission, match=r"hub/more.yaml:1.*no object of argocd"):
            examine_hub(folder, SETUPS["argocd"])

    def test_an_object_for_another_namespace_is_refused(self, folder: Path) -> None:
        text = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: x\n  namespace: web\n"
        (folder / "hub" / "more.yaml").write_text(text)
        with pytest.raises(BadSubmission, match=r"hub/more.yaml:5"):
            examine_hub(folder, SETUPS["argocd"])

    def test_settings_that_are_empty_are_refused(self, folder: Path) -> None:
        (folder / "hub" / "settings.yaml").write_text("# nothing yet\n")
        with pytest.raises(BadSubmission, match=r"hub/settings.yaml.*(is empty|no ConfigMap)"):
            engine_settings(folder)

    def test_rights_are_the_engine_s_alone(self, folder: Path) -> None:
        file = folder / "access" / "dev" / "rbac.yaml"
        file.write_text(file.read_text().replace("kind: User, name: gitops", "kind: User, name: me"))
        with pytest.raises(BadSubmission, match=r"access/dev/rbac.yaml:\d+.*somebody else"):
            access_objects(folder, SHAPE)

    @pytest.mark.parametrize(
        "text", ["kind: Role\n", "kind: Role\nmetadata: x\n", "kind: Role\nsubjects: 5\n"]
    )
    def test_rights_without_a_name_are_refused(self, folder: Path, text: str) -> None:
        file = folder / "access" / "dev" / "rbac.yaml"
        file.write_text(f"apiVersion: rbac.authorization.k8s.io/v1\n{text}")
        with pytest.raises(BadSubmission, match=r"access/dev/rbac.yaml:\d: it has no name"):
            access_objects(folder, SHAPE)

    def test_settings_are_about_health_and_differences_alone(self, folder: Path) -> None:
        assert list(engine_settings(folder)) == ["resource.customizations.health.argoproj.io_Application"]
        text = "kind: ConfigMap\ndata:\n  kustomize.buildOptions: --enable-exec\n"
        (folder / "hub" / "settings.yaml").write_text(text)
        with pytest.raises(BadSubmission, match=r"hub/settings.yaml:3"):
            engine_settings(folder)

    def test_settings_of_argo_cd_are_refused_where_flux_is_to_run(self, folder: Path) -> None:
        file = folder / "submission.yaml"
        file.write_text(file.read_text().replace("engine: argocd", "engine: flux"))
        submission: Submission = load_submission(folder, lab="lab2", block=Lab2Block)
        with pytest.raises(BadSubmission, match="Flux has no settings there"):
            examine(submission)


def test_images_are_the_same_each_time_and_all_different() -> None:
    digests = {digest_of(name) for name in images()}
    assert len(digests) == len(images()) == 11


class TestPosture:
    def files(self) -> dict[str, str]:
        return {
            path.relative_to(REFERENCE).as_posix(): path.read_text("utf-8")
            for path in REFERENCE.rglob("*")
            if path.is_file()
        }

    def test_the_reference_says_enough(self) -> None:
        files = self.files()
        assert list(posture_problems(files["SECURITY.md"], files)) == []

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("| mesh | ", "| meshes | ", "a row for the control mesh"),
            ("(mesh/istio.yaml)", "(mesh/gone.yaml)", "mesh: a link to a file"),
            ("](base/network.yaml) | netpol", "](base/web.yaml) | netpol", "with a NetworkPolicy"),
            ("| rbac |", "| trust me |", "engine-rights: evidence is rbac"),
        ],
    )
    def test_what_is_missing_is_said(self, old: str, new: str, said: str) -> None:
        files = self.files()
        text = files["SECURITY.md"]
        assert old in text
        found = [expected for expected, _ in posture_problems(text.replace(old, new), files)]
        assert any(said in each for each in found), found

    @pytest.mark.parametrize(
        "held",
        [
            "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: ReleasedImages\n",
            "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding}\n",
            '{\n  "apiVersion": "policies.kyverno.io/v1",\n  "kind": "ImageValidatingPolicy"\n}\n',
            "apiVersion: templates.gatekeeper.sh/v1\nkind: ConstraintTemplate\n",
        ],
    )
    def test_what_enforces_signatures_is_known_however_it_is_written(self, held: str) -> None:
        rows = {"policies/signed.yaml": held, "policies/map.yaml": "kind: ConfigMap\n"}
        table = "| image-signing | [there](policies/{}.yaml) | signing |"
        found = [list(posture_problems(table.format(name), rows)) for name in ("signed", "map")]
        told = [any(expected.startswith("image-signing: ") for expected, _ in each) for each in found]
        assert told == [False, True]

    def test_a_file_of_blank_lines_keeps_nobody_waiting(self) -> None:
        """A pattern that crossed lines took minutes for it."""
        table = "| mesh | [there](mesh/a.yaml) | mesh |"
        found = [expected for expected, _ in posture_problems(table, {"mesh/a.yaml": "\n" * 1_000_000})]
        assert any(each.startswith("mesh: a file with a ") for each in found)

    def test_an_empty_prose_is_no_prose(self) -> None:
        files = self.files()
        text = files["SECURITY.md"].partition("## What is left open")[0]
        assert [expected for expected, _ in posture_problems(text, files)] == [
            "50 words on what is left open"
        ]
