"""The preflight on commits that are good, and on some that are not: each in a fresh clone, in the sandbox."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.escapes import printed_text
from graders.evidence.recording import Recording
from graders.evidence.records import ToolRun
from graders.lab2.attempts import Change
from graders.lab2.block import ReleaseFile
from graders.lab2.extras import Manifest, config_map, container, extra_files, pod, service, workload_of
from graders.lab2.handin import placed
from graders.lab2.images import NOT_OURS, WEB, digest_of
from graders.lab2.toolroom import ToolRoom
from graders.sandbox.protocol import Limits
from graders.sandbox.relay import relayed
from graders.services.gitcommands import git_identity, run_git

GOOD, BAD = "good", "bad"
SIGNED, NOT_SIGNED = "signed", "not-signed"
"""Kinds of commits: those of the second pair release a version."""
_WAIT = """
import os, socket, sys, time
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        break
    except OSError:
        time.sleep(0.02)
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""The registry is reached at its own address, which is led through once the sandbox is there."""
_MOST_OUTPUT = 4000
_DEVELOPER = git_identity("Developer", "developer@lab.example")


@dataclass(frozen=True)
class TriedCommit:
    """One commit: the files it changes, and whether it breaks something."""

    name: str
    kind: str
    files: Mapping[str, bytes | None]


def cases(registry: str, image: str) -> list[TriedCommit]:
    """Each rule broken in some environment, each environment more than once; and what breaks none."""

    def made(name: str, change: Change, kind: str = "Deployment") -> Manifest:
        item = pod(f"lab-{name}", image)
        change(item)
        return workload_of(kind, item)

    def first(**fields: object) -> Change:
        return lambda item: item["spec"]["containers"][0].update(fields)

    bare = {"requests": {"cpu": "10m", "memory": "16Mi"}}
    writable = {**container(image)["securityContext"], "readOnlyRootFilesystem": False}
    unsaid = {key: value for key, value in writable.items() if key != "readOnlyRootFilesystem"}
    unbounded = {**container(image, "init"), "resources": {}}
    secret: Manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "lab-secret", "namespace": "web"},
        "stringData": {"token": "correct horse battery staple"},
    }
    alike = f"{registry}0/web@{image.rpartition('@')[2]}"
    bad = {
        "r1-dev": ("dev", made("r1", first(image="docker.io/library/nginx:1.27"))),
        "r1-prod": ("prod", made("r1", first(image=alike), "StatefulSet")),
        "r2-staging": ("staging", made("r2", first(resources=bare))),
        "r2-init-dev": ("dev", made("r2", lambda item: item["spec"].update(initContainers=[unbounded]))),
        "r3-prod": ("prod", made("r3", first(securityContext=writable), "Job")),
        "r3-staging": ("staging", made("r3", first(securityContext=unsaid))),
        "r4-dev": ("dev", service("lab-r4", type="NodePort")),
        "r4-prod": ("prod", service("lab-r4", externalIPs=["203.0.113.7"])),
        "secret-staging": ("staging", secret),
    }
    two = pod("lab-two", image)
    two["spec"]["containers"].append(container(image, "side"))
    good = {
        "map-dev": ("dev", config_map("lab-map")),
        "deployment-staging": ("staging", workload_of("Deployment", pod("lab-fine", image))),
        "headless-prod": ("prod", service("lab-headless", clusterIP="None")),
        "two-containers-dev": ("dev", workload_of("Deployment", two)),
    }
    found = [
        TriedCommit(name, BAD, extra_files(where, {"item.yaml": item})) for name, (where, item) in bad.items()
    ]
    found += [
        TriedCommit(name, GOOD, extra_files(where, {"item.yaml": item}))
        for name, (where, item) in good.items()
    ]
    return [*found, TriedCommit("text", GOOD, {"docs/another.txt": b"Nothing of this is deployed.\n"})]


def releases(registry: str, release: ReleaseFile, raw: bytes) -> list[TriedCommit]:
    """A release of a version that is signed, and of some that are not, or not by the lab."""

    def of(version: str) -> dict[str, bytes | None]:
        digest = digest_of(version)
        value = digest if release.value == "digest" else f"{registry}/{WEB}@{digest}"
        return {release.file: placed(release, raw, value)}

    found = [TriedCommit(f"release-{version}", NOT_SIGNED, of(version)) for version in NOT_OURS]
    return [*found, TriedCommit("release-v2", SIGNED, of("v2"))]


@dataclass(frozen=True)
class Preflight:
    """How the learner's preflight is run."""

    command: tuple[str, ...]
    room: ToolRoom
    limits: Limits
    folder: Path
    registry: str

    def try_all(self, bare: Path, base: str, tried: list[TriedCommit], recording: Recording) -> None:
        """Run it on each commit, one after another, made on top of the commit `base` of `bare`.

        Raises:
            InfraFault: the sandbox cannot be made, or git fails.
        """
        self.folder.mkdir(parents=True)
        # A promotion command may rewrite what is there: the preflight is about what was handed in.
        own = self.folder / "fleet.git"
        _git(self.folder, "clone", "--quiet", "--bare", str(bare), str(own))
        for case in tried:
            clone = self.folder / case.name
            _git(self.folder, "clone", "--quiet", str(own), str(clone))
            _git(clone, "reset", "--quiet", "--hard", base)
            for path, content in case.files.items():
                (clone / path).parent.mkdir(parents=True, exist_ok=True)
                (clone / path).write_bytes(content or b"")
            # Whatever a .gitignore of theirs says.
            _git(clone, "add", "--all", "--force", ".")
            _git(clone, "commit", "--quiet", "--allow-empty", "--message", f"Add {case.name}")
            recording.writer.add(self._run(case, clone, recording))
            shutil.rmtree(clone)

    def _run(self, case: TriedCommit, clone: Path, recording: Recording) -> ToolRun:
        port = self.registry.rpartition(":")[2]
        command = (str(self.room.runtime.python), "-c", _WAIT, port, *self.command)
        name, private = f"preflight-{case.name}", self.folder / f"{case.name}-sandbox"
        spec = self.room.spec(clone, name, private, command, self.limits)
        started = time.monotonic()
        with (
            self.room.sandbox.start(spec) as process,
            process.listen(int(port)) as door,
            relayed(door, ("127.0.0.1", int(port))),
        ):
            wall_s = self.limits.wall_s or 60.0
            status = process.wait(wall_s) or process.stop()
            text = printed_text(process.log_path.read_bytes())
        took_s = round(time.monotonic() - started, 3)
        name = f"preflight/{case.kind}/{case.name}"
        return ToolRun(
            recording.clock.now(), name, self.command, status.code, took_s, text[-_MOST_OUTPUT:], str(status)
        )


def _git(folder: Path, *arguments: str) -> None:
    run_git(folder, *arguments, identity=_DEVELOPER)
