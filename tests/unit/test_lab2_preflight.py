"""What a preflight has, and has not: programs on its PATH, a clone of its own, and the registry alone."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from graders.evidence.bundle import BundleWriter
from graders.evidence.recording import Recording
from graders.gitops.trials import CommitTrial, TriedCommit
from graders.lab2.preflight import BAD, GOOD
from graders.lab2.prepared import PreparedRun
from graders.lab2.scenario import _helm
from graders.lab2.toolsets import BELT, HELM, KYVERNO_CLI
from graders.ports import held_ports
from graders.progress import Silent
from graders.sandbox.bubblewrap import BubblewrapSandbox
from graders.sandbox.protocol import MIB, Limits
from graders.sandbox.runtime import LOCK, Runtime
from graders.scenario.toolroom import named_in
from graders.submissions.rendering import Renderer
from graders.tools import find

NAMED = "cosign"
"""Of the tools that are made ready where a hand-in names them, the one that this one does."""
SCRIPT = """\
set -u
for each in git kustomize helm python3 {tools}; do
  command -v "$each" > /dev/null && echo "has:$each"
done
python3 -c 'import yaml' && echo has:yaml
for door in registry:{registry} other:{other}; do
  python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)' \\
    "${{door#*:}}" 2>/dev/null && echo "reaches:${{door%:*}}"
done
git push --quiet origin HEAD:main 2>/dev/null && echo pushes
test -e new.txt || exit 7
echo left > left.txt
"""


@contextmanager
def listening() -> Iterator[int]:
    with held_ports(1) as (port,), socket.create_server(("127.0.0.1", port)):
        yield port


def program(folder: Path, name: str) -> Path:
    made = folder / name / name
    made.parent.mkdir()
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


def tools_of(folder: Path, *, helm: bool) -> Any:
    """What a run has prepared, as far as it says what is on the PATH."""
    runtime = Runtime(Path(sys.prefix), Path(sys.executable), Path(sys.base_prefix), "")
    renderer = Renderer(program(folder, "kustomize"), program(folder, "helm") if helm else None)
    nothing: Any = None
    run: Any = SimpleNamespace(sandbox=BubblewrapSandbox())
    tools = {NAMED: program(folder, NAMED)}
    return PreparedRun(
        run, nothing, nothing, nothing, renderer, nothing, Path(), {}, runtime, tools
    ).tool_room


def bare(folder: Path) -> tuple[Path, str]:
    """A repository with one commit, and that."""
    root = folder / "bare.git"
    made = folder / "made"
    who = ("-c", "user.name=a", "-c", "user.email=a@lab.example")
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", root], check=True)
    subprocess.run(["git", "clone", "--quiet", root, made], check=True, capture_output=True)
    commit = ["commit", "--quiet", "--allow-empty", "--message", "Begin"]
    subprocess.run(["git", "-C", made, *who, *commit], check=True)
    subprocess.run(["git", "-C", made, "push", "--quiet", "origin", "HEAD:main"], check=True)
    said = subprocess.run(
        ["git", "-C", made, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return root, said.stdout.strip()


@pytest.fixture
def sandboxed() -> None:
    if problem := BubblewrapSandbox().problem():
        pytest.skip(problem)
    if shutil.which("git") is None:
        pytest.skip("there is no git")


@pytest.mark.usefixtures("sandboxed")
@pytest.mark.parametrize("helm", [True, False])
def test_what_it_finds_and_reaches_in_each_clone(helm: bool, tmp_path: Path) -> None:
    root, base = bare(tmp_path)
    (tmp_path / "tools").mkdir()
    room = tools_of(tmp_path / "tools", helm=helm)
    tried = [TriedCommit(name, kind, {"new.txt": b"x\n"}) for name, kind in (("a", GOOD), ("b", BAD))]
    with listening() as images, listening() as other, BundleWriter(tmp_path / "bundle") as writer:
        script = SCRIPT.format(tools=" ".join(sorted(BELT)), registry=images, other=other)
        preflight = CommitTrial(
            "preflight", ("sh", "-c", f"test -e left.txt && exit 8\n{script}"), room, Limits(log_bytes=MIB),
            tmp_path / "preflight", f"127.0.0.1:{images}",
        )  # fmt: skip
        preflight.try_all(root, base, tried, Recording(writer))
        for file in writer._files.values():
            file.flush()
        runs = (tmp_path / "bundle" / "tools.jsonl").read_text().splitlines()
    wanted = {"git", "kustomize", "python3", "yaml", NAMED, *(["helm"] if helm else [])}
    for run in map(yaml.safe_load, runs):
        lines = run["output"].split()
        assert run["code"] == 0, run["output"]
        assert {line.partition(":")[2] for line in lines if line.startswith("has:")} == wanted
        assert [line for line in lines if line.startswith("reaches:")] == ["reaches:registry"]
        assert "pushes" not in lines
    assert len(runs) == 2


@pytest.mark.usefixtures("sandboxed")
def test_one_that_hangs_twice_is_not_run_again(tmp_path: Path) -> None:
    root, base = bare(tmp_path)
    (tmp_path / "tools").mkdir()
    room = tools_of(tmp_path / "tools", helm=False)
    hangs = {"1": False, "2": True, "3": False, "4": True, "5": True, "6": False, "7": False}
    tried = [TriedCommit(name, GOOD, {"hang": b"x" if each else b""}) for name, each in hangs.items()]
    with listening() as images, BundleWriter(tmp_path / "bundle") as writer:
        command, limits = ("sh", "-c", "test -s hang && sleep 60; true"), Limits(log_bytes=MIB, wall_s=1.5)
        preflight = CommitTrial(
            "preflight", command, room, limits, tmp_path / "preflight", f"127.0.0.1:{images}"
        )
        preflight.try_all(root, base, tried, Recording(writer))
        for file in writer._files.values():
            file.flush()
        runs = [
            yaml.safe_load(line) for line in (tmp_path / "bundle" / "tools.jsonl").read_text().splitlines()
        ]
    assert [each["code"] for each in runs] == [0, None, 0, None, None, None, None]
    assert [each["reason"].partition(":")[0] for each in runs if each["code"] is None] == [
        *["had not ended after 1.5 s"] * 3,
        *["was not run"] * 2,
    ]


def test_helm_is_there_where_there_is_a_chart(tmp_path: Path) -> None:
    run: Any = SimpleNamespace(submission=SimpleNamespace(root=tmp_path), progress=Silent())
    assert _helm(run) is None
    (found := find(HELM)) or pytest.skip("Helm is not there")
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "Chart.yaml").write_text("name: x\n")
    assert found is not None
    assert _helm(run) == found.path("helm")


def test_the_learner_s_python_has_yaml() -> None:
    assert "\npyyaml==" in LOCK.read_text().lower()


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("ci/run", True),
        ("ci/run.py", True),
        ("Makefile", True),
        ("submission.yaml", True),
        ("SECURITY.md", False),
        ("policies/x.yaml", False),
        ("policies/x.yml", False),
        ("package.json", False),
    ],
)
def test_where_a_tool_has_to_be_named(path: str, counts: bool, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("kyverno apply\n")
    assert list(named_in(tmp_path, BELT)) == (["kyverno"] if counts else [])


def test_these_tools_are_made_ready() -> None:
    assert set(BELT) == {"cosign", "conftest", "gator", "gitleaks", "kyverno", "sops"}


POLICY = {
    "apiVersion": "policies.kyverno.io/v1",
    "kind": "ValidatingPolicy",
    "metadata": {"name": "services"},
    "spec": {
        "validationActions": ["Deny"],
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["services"],
                }
            ]
        },
        "validations": [{"expression": "object.spec.?type.orValue('ClusterIP') == 'ClusterIP'"}],
    },
}


def service(name: str, kind: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "web"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": kind}}


@pytest.mark.skipif(find(KYVERNO_CLI) is None, reason="the command line of Kyverno is not there")
@pytest.mark.parametrize(
    ("objects", "passes"),
    [
        ([service("dev-fine", "ClusterIP"), service("prod-fine", "ClusterIP")], True),
        ([service("dev-fine", "ClusterIP"), service("prod-bad", "NodePort")], False),
        ([service("fine", "ClusterIP"), service("fine", "ClusterIP")], False),
    ],
    ids=["good", "bad", "one name"],
)
def test_kyverno_apply_judges_by_the_same_policies(
    objects: list[dict[str, Any]], passes: bool, tmp_path: Path
) -> None:
    found = find(KYVERNO_CLI)
    assert found is not None
    (tmp_path / "policies.yaml").write_text(yaml.safe_dump(POLICY))
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    command = [
        str(found.path("kyverno")),
        "apply",
        "policies.yaml",
        "--resource",
        "objects.yaml",
        "--registry",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is passes, done.stdout + done.stderr
