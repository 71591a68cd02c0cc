"""The release manager: commits to the fleet's repository as a person would, and remembers what it did."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from graders.evidence.recording import Recording
from graders.faults import BadSubmission, InfraFault, KubeproofError
from graders.gitops.records import Commit
from graders.gitops.releasefile import ReleaseFile
from graders.services.gitcommands import git_identity, run_git
from graders.services.githttp import PUSHER
from graders.services.gitserver import BRANCH, GitServer
from graders.submissions.survey import MANIFEST

REPOSITORY = "fleet.git"
_IDENTITY = git_identity("Release Manager", "release-manager@lab.example")
_SETTINGS = ("gc.auto=0", "core.symlinks=false")
_TRIES = 5
_FULL = "No space left"


class Obstructed(KubeproofError):
    """What somebody else pushed stands in the way of a commit."""


class ReleaseManager:
    """Works in a clone of the repository; safe to use from several threads.

    Others may push as well, and may even throw its commits away: what they were about is brought back
    before it commits anything else, so that one track's mishap is not the next one's.
    """

    def __init__(
        self, server: GitServer, folder: Path, recording: Recording, image_of: Callable[[str], str]
    ) -> None:
        """`folder` is a new one for the clone; `image_of` gives the image of a version, with its digest."""
        self._bare = server.root / REPOSITORY
        self._server = server
        self._clone = folder
        self._recording = recording
        self._image_of = image_of
        self._lock = threading.Lock()
        self.made: list[str] = []
        """Its commits, in their order."""
        self.last_release = ""
        """The commit of the last release."""

    @property
    def url(self) -> str:
        """Where the engine finds the repository."""
        return self._server.url(REPOSITORY)

    def check_server(self) -> None:
        """See that the Git server runs: without it nobody else hears of a commit; raises InfraFault."""
        self._server.service.check_alive()

    def begin(
        self,
        files: Mapping[str, bytes],
        release: ReleaseFile,
        version: str,
        executables: Collection[str] = (),
    ) -> str:
        """Make the first commit of the branch, with a version released; gives it.

        Raises:
            BadSubmission: git does not take it, for a name or an attribute in it.
        """
        self._clone.mkdir()
        self._git("init", "--quiet", f"--initial-branch={BRANCH}", ".")
        self._git("remote", "add", "origin", str(self._bare))
        whole = {**files, release.file: release.placed(files[release.file], self._image_of(version))}
        subject = f"Begin the fleet with {version}"
        for path, content in whole.items():
            self._write(path, content)
            if path in executables:
                (self._clone / path).chmod(0o755)
        try:
            self._commit(subject)
        except InfraFault as error:
            if _FULL in str(error):
                raise
            said = " ".join(str(error).partition(" failed: ")[2].split())
            named = next((path for path in whole if f"'{path}'" in str(error)), MANIFEST)
            raise BadSubmission(
                f"git takes the submission into no repository: {said}", file=named,
                fix="rename or remove what it names, or in .gitattributes what asks for it",
            ) from error  # fmt: skip
        self._push()
        self.last_release = self._note(subject, version, *whole)
        return self.last_release

    def release(self, version: str, release: ReleaseFile) -> str:
        """Release a version of the image; gives the commit.

        Raises:
            Obstructed: the release file has no place for it any more.
        """

        def write() -> tuple[str, ...]:
            try:
                raw = (self._clone / release.file).read_bytes()
                self._write(release.file, release.placed(raw, self._image_of(version)))
            except (OSError, BadSubmission) as error:
                raise Obstructed(f"{release.file} is not as it was handed in: {error}") from error
            return (release.file,)

        self.last_release = self._committed(f"Release {version}", version, write)
        return self.last_release

    def keep(self, version: str, release: ReleaseFile) -> None:
        """Release a version again where somebody's commit has undone that, without throwing it away.

        Raises:
            Obstructed: as `release` does.
        """
        raw = self.text(release.file)
        try:
            digest = self._image_of(version).rpartition("@")[2]
            undone = raw and digest not in release.written(raw)
        except BadSubmission:
            undone = True
        if undone:
            self.release(version, release)

    def change(self, subject: str, files: Mapping[str, bytes | None]) -> str:
        """Commit files, None for one that goes; gives the commit.

        Raises:
            Obstructed: a folder of theirs cannot be made any more.
        """

        def write() -> tuple[str, ...]:
            try:
                self._write_all(files)
            except OSError as error:
                raise Obstructed(f"the repository is not as it was handed in: {error}") from error
            return tuple(files)

        return self._committed(subject, "", write)

    def revert(self, commit: str, release: str = "") -> str:
        """Take a commit back by another one; `release` is the version that is live again.

        Raises:
            Obstructed: others have changed the same lines since.
        """

        def take_back() -> tuple[str, ...]:
            try:
                self._git("revert", "--no-commit", commit)
            except InfraFault as error:
                raise Obstructed(f"{commit[:12]} cannot be taken back by git revert: {error}") from error
            return ()

        return self._committed(f"Revert {commit[:12]}", release, take_back)

    def restore(self) -> None:
        """Bring back what was in commits of its own that others threw away; raises Obstructed."""
        with self._lock, self._blaming_others():
            self._catch_up()

    def text(self, path: str) -> bytes:
        """A file as it is now on the branch; empty where there is none."""
        return self._server.content(REPOSITORY, path) or b""

    def checkout(self) -> Path:
        """The clone, brought up to date; raises Obstructed."""
        self.restore()
        return self._clone

    def _write(self, path: str, content: bytes) -> None:
        target = self._clone / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def _write_all(self, files: Mapping[str, bytes | None]) -> None:
        for path, content in files.items():
            if content is None:
                (self._clone / path).unlink(missing_ok=True)
            else:
                self._write(path, content)

    def _catch_up(self) -> None:
        self._git("fetch", "--quiet", "origin", BRANCH)
        self._git("reset", "--quiet", "--hard", f"origin/{BRANCH}")
        self._git("clean", "--quiet", "-d", "--force", "-x")
        beyond = self._git("rev-list", *self.made, f"^origin/{BRANCH}").split() if self.made else []
        if lost := [each for each in self.made if each in beyond]:
            self._bring_back(lost)

    def _bring_back(self, lost: list[str]) -> None:
        """Write again what files of some commits were in them; a merge makes these ancestors anew."""
        for commit in lost:
            told = self._git("show", "-z", "--format=", "--name-status", "--no-renames", commit).split("\0")
            for kind, path in zip(told[::2], told[1::2], strict=False):
                if kind == "D":
                    (self._clone / path).unlink(missing_ok=True)
                else:
                    self._git("checkout", "--quiet", commit, "--", path)
        parents = ("HEAD", *lost)
        self._git("add", "--all", "--force", ".")
        tree = self._git("write-tree").strip()
        merged = (part for parent in parents for part in ("-p", parent))
        subject = "Bring back what a forced push threw away"
        self._git(
            "reset", "--quiet", "--hard", self._git("commit-tree", *merged, "-m", subject, tree).strip()
        )
        self._push()
        self._note(subject, "")

    def _committed(self, subject: str, release: str, change: Callable[[], tuple[str, ...]]) -> str:
        """Make a change on top of the branch, again where somebody else was faster; gives the commit."""
        with self._lock, self._blaming_others():
            for left in reversed(range(_TRIES)):
                try:
                    self._catch_up()
                    files = change()
                    self._commit(subject)
                    self._push()
                    break
                except InfraFault:
                    if not left:
                        raise
            return self._note(subject, release, *files)

    @contextmanager
    def _blaming_others(self) -> Iterator[None]:
        """What git refuses is the fault of whoever pushed, where somebody did."""
        try:
            yield
        except InfraFault as error:
            if any(move.by == PUSHER for move in self._server.moves(REPOSITORY)):
                raise Obstructed(f"with what was pushed, {error}") from error
            raise

    def _commit(self, subject: str) -> None:
        self._git("add", "--all", "--force", ".")
        self._git("commit", "--quiet", "--allow-empty", "--message", subject)

    def _push(self) -> None:
        self._git("push", "--quiet", "origin", f"HEAD:{BRANCH}")

    def _note(self, subject: str, release: str, *files: str) -> str:
        """Put the commit that is checked out on record; gives it."""
        sha, *parents = self._git("rev-list", "--parents", "--max-count=1", "HEAD").split()
        self.made.append(sha)
        now = self._recording.clock.now()
        record = Commit(now, sha, tuple(parents), "grader", subject, release, tuple(sorted(files)[:50]))
        self._recording.writer.add(record)
        return sha

    def _git(self, *arguments: str) -> str:
        printed = run_git(self._clone, *arguments, identity=_IDENTITY, settings=_SETTINGS)
        return printed.decode("utf-8", "replace")
