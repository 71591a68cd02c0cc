"""Puts on record what others than the grader push to the fleet's repository, and what they throw away."""

from graders.evidence.recording import Recording
from graders.gitops.records import Commit, Push
from graders.gitops.releasemanager import REPOSITORY, ReleaseManager
from graders.services.githttp import PUSHER
from graders.services.gitserver import GitServer

_MOST_COMMITS = 20


class Pushes:
    """Looks at the log of the branch, from where it last looked; not for several threads."""

    def __init__(self, server: GitServer, manager: ReleaseManager, recording: Recording) -> None:
        self._server = server
        self._manager = manager
        self._recording = recording
        self._known = 0
        self.any = False
        """Whether there was one."""

    def look(self) -> int:
        """Record the pushes since the last look; gives how many there were."""
        found = 0
        moves = self._server.moves(REPOSITORY)
        for move in moves[self._known :]:
            if move.by == PUSHER:
                self._note(move.before, move.after)
                found += 1
                self.any = True
        self._known = len(moves)
        return found

    def _note(self, before: str, after: str) -> None:
        now = self._recording.clock.now()
        thrown_away = self._server.between(REPOSITORY, after, before)
        own = set(self._manager.made)
        lost = tuple(each.sha for each in thrown_away if each.sha in own)
        self._recording.writer.add(Push(now, before, after, bool(thrown_away), lost))
        for each in reversed(self._server.between(REPOSITORY, before, after)[:_MOST_COMMITS]):
            self._recording.writer.add(Commit(now, each.sha, each.parents, "learner", each.subject))
