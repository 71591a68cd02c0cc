"""Artifacts as Flux's source-controller makes them: the files at the head of a branch, in a tar.gz.

The same commit gives the same bytes. A `.sourceignore` in any folder and the patterns of a GitRepository
leave files out, as they do there.
"""

import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from graders.services.gitcommands import git_environment
from graders.services.gitsource import RepositorySource

IGNORE_FILE = ".sourceignore"
_LEFT_OUT = (
    ".git/", ".gitignore", ".gitmodules", ".gitattributes", "*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv",
    "*.flv", "*.tar.gz", "*.zip", ".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml",
    ".drone.yml", "cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml", "**/.goreleaser.yml",
    "**/.sops.yaml", "**/.flux.yaml",
)  # fmt: skip
_GIT_WITHIN_S = 30.0


class SourceFailed(Exception):
    """Git could not give what a source asks for."""


@dataclass(frozen=True)
class Artifact:
    """A packed branch: its file below what is served, and what a status says of it."""

    path: str
    revision: str
    digest: str
    size_bytes: int


class ArtifactStore:
    """A mirror of what sources asked for, and the artifacts made of it, in one folder."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, which may be there."""
        self._folder = folder
        self._mirror = folder / "mirror.git"
        self.public = folder / "public"
        """What may be served of it: the artifacts."""
        self.public.mkdir(parents=True, exist_ok=True)
        if not self._mirror.is_dir():
            self._git("init", "--quiet", "--bare", str(self._mirror))

    def head(self, source: RepositorySource) -> str:
        """The commit at the head of a source's branch.

        Raises:
            SourceFailed: there is no such branch, or no answer.
        """
        listed = self._git("ls-remote", "--quiet", source.url, f"refs/heads/{source.branch}")
        if not listed:
            raise SourceFailed(f"the repository has no branch {source.branch!r}")
        return listed.split()[0].decode("ascii")

    def pack(self, name: str, source: RepositorySource, commit: str) -> Artifact:
        """The artifact of a commit for the GitRepository `name`, made unless it is there.

        Raises:
            SourceFailed: Git cannot give it.
        """
        ignored = hashlib.sha256(source.ignore.encode()).hexdigest()[:8]
        path = f"gitrepository/{name}/{commit}-{ignored}.tar.gz"
        target = self.public / path
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._in_mirror("fetch", "--quiet", source.url, f"refs/heads/{source.branch}")
            part = target.with_suffix(".part")
            part.write_bytes(self._packed(source, commit))
            part.replace(target)
        data = target.read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        return Artifact(path, f"{source.branch}@sha1:{commit}", digest, len(data))

    def _packed(self, source: RepositorySource, commit: str) -> bytes:
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            tree, out = Path(scratch, "tree"), io.BytesIO()
            tree.mkdir()
            with tarfile.open(fileobj=io.BytesIO(self._in_mirror("archive", commit))) as whole:
                whole.extractall(tree, filter="data")
            with tarfile.open(fileobj=out, mode="w") as packed:
                for name in self._kept(tree, Path(scratch), source):
                    _add(packed, tree / name, name)
            return gzip.compress(out.getvalue(), compresslevel=6, mtime=0)

    def _kept(self, tree: Path, scratch: Path, source: RepositorySource) -> list[str]:
        """The files that go in: Git itself reads the patterns, and the later ones win."""
        excluded = scratch / "excluded"
        excluded.write_text("\n".join(_LEFT_OUT) + "\n", encoding="utf-8")
        patterns = [f"--exclude={line}" for line in source.ignore.splitlines() if line.strip()]
        arguments = [
            f"--git-dir={self._mirror}", f"--work-tree={tree}", "-c", "core.bare=false", "ls-files",
            "--others", "-z", f"--exclude-from={excluded}", f"--exclude-per-directory={IGNORE_FILE}",
            *patterns,
        ]  # fmt: skip
        listed = self._git(*arguments, folder=tree, GIT_INDEX_FILE=str(scratch / "no-index"))
        names = sorted(name for name in listed.decode("utf-8", "surrogateescape").split("\0") if name)
        return [name for name in names if (tree / name).is_file() and not (tree / name).is_symlink()]

    def _in_mirror(self, *arguments: str) -> bytes:
        return self._git(f"--git-dir={self._mirror}", *arguments)

    def _git(self, *arguments: str, folder: Path | None = None, **more: str) -> bytes:
        environment = {**git_environment(self._folder), **more}
        try:
            done = subprocess.run(
                ["git", *arguments], capture_output=True, check=False, env=environment,
                cwd=folder or self._folder, timeout=_GIT_WITHIN_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SourceFailed(f"git did not answer within {_GIT_WITHIN_S:.0f} s") from error
        if done.returncode:
            raise SourceFailed(done.stderr.decode("utf-8", "replace").strip()[-400:] or "git failed")
        return done.stdout


def _add(packed: tarfile.TarFile, file: Path, name: str) -> None:
    """Nothing of when and by whom: the same files are the same bytes."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = file.stat().st_size, 0o755 if os.access(file, os.X_OK) else 0o644
    with file.open("rb") as content:
        packed.addfile(info, content)
