"""A submission is checked, copied and digested; what is wrong with one is told with file, line and fix."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from graders.faults import BadSubmission, UsageError
from graders.lab1.manifest import Lab1Block, Lab1Manifest, Metrics, Operator
from graders.model import Submission
from graders.submissions import LabBlock, SubmissionLimits, digest_of, load_submission, snapshot

MANIFEST = """\
schema: kubeproof/submission/v1
lab: lab1
operator:
  language: python
  command: [python, -m, mltj_operator]
  environment: {LOG_LEVEL: debug}
  metrics: {port: 9090, path: /metrics}
  namespace: mltj-system
  serviceAccount: mltj-operator
manifests: [deploy/]
"""


@pytest.fixture
def handed_in(tmp_path: Path) -> Path:
    root = tmp_path / "handed-in"
    (root / "deploy").mkdir(parents=True)
    (root / "submission.yaml").write_text(MANIFEST)
    (root / "deploy" / "crd.yaml").write_text("kind: x\n")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o700)
    return root


def load(root: Path, scratch: Path | None = None) -> Submission:
    return load_submission(root, lab="lab1", block=Lab1Block, learner_id="ada", scratch=scratch)


def refused(root: Path, manifest: str | None = None) -> str:
    if manifest is not None:
        (root / "submission.yaml").write_text(manifest)
    with pytest.raises(BadSubmission) as caught:
        load(root)
    assert caught.value.fix
    return str(caught.value)


class TestLoading:
    def test_the_manifest_arrives_as_frozen_dataclasses(self, handed_in: Path) -> None:
        submission = load(handed_in)
        assert (submission.learner_id, submission.lab, submission.root) == ("ada", "lab1", handed_in)
        assert submission.manifest == Lab1Manifest(
            operator=Operator(
                language="python",
                command=("python", "-m", "mltj_operator"),
                namespace="mltj-system",
                service_account="mltj-operator",
                environment={"LOG_LEVEL": "debug"},
                metrics=Metrics(9090, "/metrics"),
            ),
            manifests=("deploy",),
        )

    def test_a_model_of_no_lab_is_handed_on_as_it_is(self, handed_in: Path) -> None:
        class Free(LabBlock):
            operator: object
            manifests: object

        submission = load_submission(handed_in, lab="lab1", block=Free)
        assert isinstance(submission.manifest, Free)

    def test_scratch_receives_a_clean_copy(self, handed_in: Path, tmp_path: Path) -> None:
        (handed_in / "link").symlink_to("deploy/crd.yaml")
        (handed_in / ".git").mkdir()
        (handed_in / ".git" / "config").write_text("x")
        os.mkfifo(handed_in / ".git" / "pipe")
        (handed_in / "deploy" / "__pycache__").mkdir()
        (handed_in / "deploy").chmod(0o777)
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        old_mask = os.umask(0o077)
        try:
            root = load(handed_in, scratch).root
        finally:
            os.umask(old_mask)
        assert root == scratch / "submission"
        found = {path.relative_to(root).as_posix(): path.lstat().st_mode & 0o777 for path in root.rglob("*")}
        link = found.pop("link")
        assert link
        assert found == {
            "deploy": 0o755,
            "deploy/crd.yaml": 0o644,
            "run.sh": 0o755,
            "submission.yaml": 0o644,
        }
        assert root.stat().st_mode & 0o777 == 0o755
        assert str((root / "link").readlink()) == "deploy/crd.yaml"

    @pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tgz"])
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_an_archive_is_the_same_as_its_folder(
        self, handed_in: Path, tmp_path: Path, suffix: str, wrapped: bool
    ) -> None:
        (handed_in / "deploy" / "link").symlink_to("../run.sh")
        (handed_in / ".venv").mkdir()
        (handed_in / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin")
        archive = pack(handed_in, tmp_path / f"ada{suffix}", "ada/" if wrapped else "")
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        submission = load(archive, scratch)
        assert submission.digest == digest_of(handed_in)
        assert (submission.root / "deploy" / "link").read_text() == "#!/bin/sh\n"
        assert not (submission.root / ".venv").exists()

    def test_a_hard_link_inside_an_archive_becomes_a_file(self, handed_in: Path, tmp_path: Path) -> None:
        (handed_in / "twin.sh").hardlink_to(handed_in / "run.sh")
        archive = tmp_path / "ada.tar"
        with tarfile.open(archive, "w") as out:
            out.add(handed_in, "")
            assert any(member.islnk() for member in out.getmembers())
        (tmp_path / "scratch").mkdir()
        root = load(archive, tmp_path / "scratch").root
        assert (root / "twin.sh").read_text() == (root / "run.sh").read_text()
        assert (root / "twin.sh").stat().st_nlink == 1

    def test_an_archive_needs_a_place_to_be_unpacked(self, handed_in: Path, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="scratch"):
            load(pack(handed_in, tmp_path / "ada.zip"))


def pack(root: Path, archive: Path, prefix: str = "") -> Path:
    """Pack as `zip -ry` and `tar` do."""
    paths = sorted(root.rglob("*"))
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for path in paths:
                name = prefix + path.relative_to(root).as_posix()
                if path.is_symlink():
                    member = zipfile.ZipInfo(name)
                    member.create_system = 3
                    member.external_attr = path.lstat().st_mode << 16
                    out.writestr(member, str(path.readlink()))
                else:
                    out.write(path, name)
        return archive
    mode = "w" if archive.suffix == ".tar" else "w:gz"
    with tarfile.open(archive, mode) as out:  # type: ignore[call-overload]
        for path in paths:
            out.add(path, prefix + path.relative_to(root).as_posix(), recursive=False)
    return archive


class TestDigest:
    def test_it_changes_with_content_name_exec_bit_and_link(self, handed_in: Path) -> None:
        (handed_in / "link").symlink_to("run.sh")
        seen = {digest_of(handed_in)}
        (handed_in / "run.sh").write_text("#!/bin/bash\n")
        seen.add(digest_of(handed_in))
        (handed_in / "run.sh").chmod(0o644)
        seen.add(digest_of(handed_in))
        (handed_in / "run.sh").rename(handed_in / "go.sh")
        seen.add(digest_of(handed_in))
        (handed_in / "link").unlink()
        (handed_in / "link").symlink_to("submission.yaml")
        seen.add(digest_of(handed_in))
        assert len(seen) == 5
        assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in seen)

    def test_it_does_not_change_with_times_modes_caches_or_place(
        self, handed_in: Path, tmp_path: Path
    ) -> None:
        before = digest_of(handed_in)
        (handed_in / "run.sh").chmod(0o755)
        (handed_in / ".mypy_cache").mkdir()
        (handed_in / ".mypy_cache" / "x").write_text("x")
        (handed_in / "empty").mkdir()
        os.utime(handed_in / "submission.yaml", (0, 0))
        moved = shutil.copytree(handed_in, tmp_path / "moved")
        assert digest_of(moved) == before
        assert snapshot(moved, tmp_path / "copy") == before
        assert digest_of(tmp_path / "copy") == before


class TestRefusals:
    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="there is no such submission"):
            load(tmp_path / "none")

    def test_a_path_that_cannot_be(self, tmp_path: Path) -> None:
        for name in ("x" * 5_000, "nul\0"):
            with pytest.raises(UsageError, match="the submission cannot be opened"):
                load(tmp_path / name)
        (tmp_path / "file").touch()
        with pytest.raises(UsageError, match="there is no such submission"):
            load(tmp_path / "file" / "x")

    @pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
    def test_a_folder_without_read_permission(self, handed_in: Path) -> None:
        handed_in.chmod(0)
        with pytest.raises(UsageError, match="the submission may not be read"):
            load(handed_in)

    def test_something_else_there(self, tmp_path: Path) -> None:
        (tmp_path / "essay.docx").write_bytes(b"PK")
        assert "is neither a folder nor an archive" in refused(tmp_path / "essay.docx")

    def test_no_manifest(self, tmp_path: Path) -> None:
        assert "submission.yaml: is missing" in refused(tmp_path)
        (tmp_path / "submission.yml").write_text(MANIFEST)
        assert "fix: rename submission.yml to submission.yaml" in refused(tmp_path)

    @pytest.mark.parametrize(
        ("old", "new", "says", "fix"),
        [
            ("schema: kubeproof/submission/v1\n", "", 'the key "schema" is missing', "add"),
            (
                "schema:",
                "shema:",
                'submission.yaml:1: the key "schema" is missing',
                'rename "shema" to "schema"',
            ),
            ("submission/v1", "submission/v9", ':1: the schema "kubeproof/submission/v9" is not known', "v1"),
            ("lab: lab1", "lab: lab2", ':2: this is a submission for "lab2", not for "lab1"', "grade it as"),
            ("lab: lab1", "lab: [lab1]", "this is a submission for a list", "lab: lab1"),
            ("manifests:", "manifest:", ':10: unknown key "manifest"', 'did you mean "manifests"?'),
            ("language:", "langauge:", ':4: unknown key "langauge" in operator', "language"),
            ("language: python", "language: rust", "where 'python', 'go' or 'other' is expected", "write"),
            (
                "[python, -m, mltj_operator]",
                "python -m x",
                'command is "python -m x", where a list',
                "a list",
            ),
            ("[python, -m, mltj_operator]", "[]", "operator.command: has no program", "write the program"),
            ("[python, -m, mltj_operator]", "[x, 1]", "command[1] is 1, where text is expected", "quotes"),
            ("LOG_LEVEL: debug", "DEBUG: 1", "environment.DEBUG is 1, where text is expected", "quotes"),
            ("LOG_LEVEL", "A=B", '"A=B" is no name for a variable', "letters"),
            ("LOG_LEVEL", "KUBECONFIG", '"KUBECONFIG" is set by the grader', "remove it"),
            ("LOG_LEVEL", "PATH", '"PATH" is set by the grader', "remove it"),
            ("LOG_LEVEL", "LD_PRELOAD", '"LD_PRELOAD" is set by the grader', "remove it"),
            ("LOG_LEVEL", "PYTHONHOME", '"PYTHONHOME" is set by the grader', "remove it"),
            ("port: 9090", "port: 80", "metrics.port is 80", "correct"),
            ("port: 9090", "port: 70000", "metrics.port is 70000", "correct"),
            ("path: /metrics", "path: 'http://x/'", "is no path for metrics", "/metrics"),
            ("mltj-system", "Bad_Name", '"Bad_Name" is no name for a namespace', "lower-case"),
            ("mltj-system", "kube-system", '"kube-system" belongs to the cluster', "of your own"),
            (
                "serviceAccount: mltj-operator",
                "serviceAccount: A/b",
                "no name for a ServiceAccount",
                "lower-case",
            ),
            ("[deploy/]", "[]", "manifests is a list: list should have at least 1 item", "correct"),
            (
                "[deploy/]",
                "[/etc/passwd]",
                'manifests[0]: "/etc/passwd" is a path that leads out',
                "relative",
            ),
            ("[deploy/]", "[deploy/../../x]", "is a path that leads out", "relative"),
            (
                "[deploy/]",
                "[deploy, nowhere]",
                ':10: manifests[1]: "nowhere" does not exist',
                "correct the path",
            ),
            ("[deploy/]", "[deploy, ./deploy/]", '"deploy" is named twice', "once"),
            ("[deploy/]", "[.git/x]", '".git/x" is in ".git", which is no part of a submission', "move it"),
            ("[deploy/]", "[Deploy/CRD.yaml]", '"Deploy/CRD.yaml" does not exist', 'write "deploy/crd.yaml"'),
            ("[deploy/]", "['deploy\\crd.yaml']", "or a backslash, in its name", 'write "deploy/crd.yaml"'),
            ("[deploy/]", "[.]", "names the whole submission", "name the files"),
        ],
    )
    def test_of_a_manifest(self, handed_in: Path, old: str, new: str, says: str, fix: str) -> None:
        assert old in MANIFEST
        (handed_in / ".git").mkdir()
        message = refused(handed_in, MANIFEST.replace(old, new, 1))
        assert message.startswith("submission.yaml:")
        assert says in message
        assert fix in message.partition("\n  fix: ")[2]

    def test_variables_of_python_that_learners_need_are_allowed(self, handed_in: Path) -> None:
        (handed_in / "submission.yaml").write_text(MANIFEST.replace("LOG_LEVEL: debug", "PYTHONPATH: src"))
        assert load(handed_in).manifest.operator.environment == {"PYTHONPATH": "src"}

    def test_metrics_and_environment_have_defaults(self, handed_in: Path) -> None:
        lines = [
            line for line in MANIFEST.splitlines() if "metrics:" not in line and "environment" not in line
        ]
        (handed_in / "submission.yaml").write_text("\n".join(lines))
        operator = load(handed_in).manifest.operator
        assert (operator.metrics, operator.environment, operator.build) == (Metrics(8080, "/metrics"), {}, ())

    def test_a_refused_copy_leaves_nothing(self, handed_in: Path, tmp_path: Path) -> None:
        with pytest.raises(BadSubmission, match="over 2 files and folders"):
            snapshot(handed_in, tmp_path / "copy", limits=SubmissionLimits(files=2))
        assert not (tmp_path / "copy").exists()
