"""The release manager: commits to the fleet's repository as a person would, and remembers what it did."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from graders.evidence.recording import Recording
from graders.faults import InfraFault
from graders.lab2.block import ReleaseFile
from graders.lab2.handin import placed
from graders.lab2.images import WEB, digest_of
from graders.lab2.records import Commit
from graders.services.gitserver import BRANCH, GitServer

REPOSITORY = "fleet.git"
NAME, ADDRESS = "Release Manager", "release-manager@lab.example"
_TRIES = 5


class ReleaseManager:
    """Works in a clone of the repository; safe to use from several threads."""

    def __init__(self, server: GitServer, folder: Path, recording: Recording, registry: str) -> None:
        self._bare = server.root / REPOSITORY
        self._server = server
        self._clone = folder
        self._recording = recording
        self._registry = registry
        self._lock = threading.Lock()
        self.last_release = ""
        """The commit of the last release."""

    @property
    def url(self) -> str:
        """Where the engine finds the repository."""
        return self._server.url(REPOSITORY)

    def begin(
        self, files: Mapping[str, bytes], release: ReleaseFile, executables: Collection[str] = ()
    ) -> str:
        """Make the first commit of the branch, with v1 released; gives it."""
        self._clone.mkdir()
        self._git("init", "--quiet", f"--initial-branch={BRANCH}", ".")
        self._git("remote", "add", "origin", str(self._bare))
        whole = {**files, release.file: self._released(release, files[release.file], "v1")}
        for path, content in whole.items():
            self._write(path, content)
            if path in executables:
                (self._clone / path).chmod(0o755)
        self.last_release = self._commit("Begin the fleet with v1", "v1", *whole)
        return self.last_release

    def release(self, version: str, release: ReleaseFile) -> str:
        """Release a version of the web image; gives the commit."""
        with self._lock:
            self._catch_up()
            content = self._released(release, (self._clone / release.file).read_bytes(), version)
            self._write(release.file, content)
            self.last_release = self._commit(f"Release {version}", version, release.file)
            return self.last_release

    def change(self, subject: str, files: Mapping[str, bytes | None]) -> str:
        """Commit files, None for one that goes; gives the commit."""
        with self._lock:
            self._catch_up()
            for path, content in files.items():
                if content is None:
                    (self._clone / path).unlink(missing_ok=True)
                else:
                    self._write(path, content)
            return self._commit(subject, "", *files)

    def revert(self, commit: str, release: str = "") -> str:
        """Take a commit back by another one; `release` is the version that is live again."""
        with self._lock:
            self._catch_up()
            self._git("revert", "--no-commit", commit)
            return self._commit(f"Revert {commit[:12]}", release)

    def text(self, path: str) -> bytes:
        """A file as it is now on the branch; empty where there is none."""
        return self._server.content(REPOSITORY, path) or b""

    def checkout(self) -> Path:
        """The clone, brought up to date."""
        with self._lock:
            self._catch_up()
            return self._clone

    def _released(self, release: ReleaseFile, raw: bytes, version: str) -> bytes:
        digest = digest_of(version)
        whole = f"{self._registry}/{WEB}@{digest}"
        return placed(release, raw, digest if release.value == "digest" else whole)

    def _write(self, path: str, content: bytes) -> None:
        target = self._clone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def _catch_up(self) -> None:
        self._git("fetch", "--quiet", "origin", BRANCH)
        self._git("reset", "--quiet", "--hard", f"origin/{BRANCH}")

    def _commit(self, subject: str, release: str, *files: str) -> str:
        self._git("add", "--all", "--force", ".")
        self._git("commit", "--quiet", "--allow-empty", "--message", subject)
        for left in reversed(range(_TRIES)):
            try:
                self._git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
                break
            except InfraFault:
                if not left:
                    raise
                self._git("pull", "--quiet", "--rebase", "origin", BRANCH)
        sha, *parents = self._git("rev-list", "--parents", "--max-count=1", "HEAD").split()
        now = self._recording.clock.now()
        record = Commit(now, sha, tuple(parents), "grader", subject, release, tuple(sorted(files)[:50]))
        self._recording.writer.add(record)
        return sha

    def _git(self, *arguments: str) -> str:
        identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                    for what, value in (("NAME", NAME), ("EMAIL", ADDRESS))}  # fmt: skip
        done = subprocess.run(
            ["git", "-C", self._clone, "-c", "core.hooksPath=/dev/null", "-c", "gc.auto=0", *arguments],
            capture_output=True, check=False,
            env={
                "PATH": "/usr/bin:/bin", "HOME": str(self._clone), "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", **identity,
            },
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-400:]
            raise InfraFault(f"git {arguments[0]} of the release manager failed: {said}")
        return done.stdout.decode("utf-8", "replace")
