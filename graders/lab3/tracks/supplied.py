"""One more loss, and backups of the grader's choosing: bad ones, then a good one, restored in two goes."""

import base64
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from graders.kube.client import ApiRefused
from graders.lab3.environment.lane import Lane
from graders.lab3.names import BACKED_UP, LENIENCE_S, NAMESPACE_DELETED, SERVING, SUPPLIED
from graders.runbooks.corruption import tamper, truncate
from graders.runbooks.scripts import Ended
from graders.runbooks.sealed import SealedBackup, seal

Sign = Callable[[], bool]
"""Whether a restore is in the middle."""

_CUT, _FORGED = "cut", "forged"
NEWEST_FORGED = "newest-forged"
"""The newest backup is bad, and an older one is there that is good."""
NO_GOOD = ("none", _CUT, _FORGED)
"""Backups of which no restore may be made."""
_KILLED_AFTER_S = 0.2
_LIVE_KEY = "kubeproof.dev-changed-live"


def change_live(lane: Lane) -> None:
    """Change something of workload/ in the cluster: from now on the files in Git say something else."""
    for kind in ("ConfigMap", "Secret"):
        for manifest in lane.context.manifests:
            if (manifest.kind, manifest.data["metadata"].get("namespace")) != (kind, SERVING):
                continue
            # What is immutable stays as it is.
            with suppress(ApiRefused):
                value = base64.b64encode(token_hex(8).encode()).decode()
                lane.kube.patch(lane.kube.path_for(manifest.data), {"data": {_LIVE_KEY: value}})
                return


def supplied(
    lane: Lane, scenario: str, lose: Callable[[], None], watch: Callable[[], Sign], bad: Sequence[str]
) -> None:
    """Lose it once more. Supply what no restore may be made of first, as `bad` names it.

    It is the older one that is supplied alone: whoever has a copy elsewhere has one of the newest. `watch`
    is called when the restore that is to be killed begins.
    """
    older, newest = lane.schedule.backups.sealed[-2:]
    with lane.schedule.halted(), lane.ledger.held():
        lane.look_at_objects(BACKED_UP)
        lane.mark("supplied", older=_told(older), newest=_told(newest), ledger=lane.ledger.name)
        lose()
        _bad(lane, scenario, lose, older, newest, bad)
        folder = _folder(lane, "only")
        _supply(folder, lane.schedule.backups.folder / older.id)
        if not _in_two_goes(lane, scenario, folder, watch):
            lose()
            _in_one_go(lane, scenario, folder)
        lane.mark("given", **_told(older))
        lane.ledger_look(SUPPLIED)
        lane.look_at_objects(SUPPLIED)


def _bad(
    lane: Lane,
    scenario: str,
    lose: Callable[[], None],
    older: SealedBackup,
    newest: SealedBackup,
    names: Sequence[str],
) -> None:
    sealed = lane.schedule.backups.folder
    for name in names:
        folder = _folder(lane, name)
        if name == _CUT:
            truncate(sealed / newest.id, folder / token_hex(8))
        if name in (_FORGED, NEWEST_FORGED):
            # Of a namespace an export is restored: a digest of a snapshot beside it says nothing of that.
            of_exports = scenario == NAMESPACE_DELETED
            how = tamper(
                sealed / newest.id, folder / token_hex(8), lane.ledger.seals, exports_alone=of_exports
            )
            lane.mark("forged", how=how)
        if name == NEWEST_FORGED:
            _supply(folder, sealed / older.id)
        lane.tell(f"a bad backup: {name}")
        ended = _restore(lane, scenario, f"bad-{name}", folder, lane.rto_s(scenario) + LENIENCE_S)
        if ended.code == 0:
            _stable(lane)
            lane.ledger_look(f"bad-{name}")
        lose()


def _in_two_goes(lane: Lane, scenario: str, folder: Path, watch: Callable[[], Sign]) -> bool:
    """Kill the restore in the middle, and start it again; whether it recovers."""
    lane.tell("one backup, restored in two goes")
    stop = threading.Event()
    killing = threading.Thread(target=_kill_at, args=(watch(), stop), name="killing", daemon=True)
    killing.start()
    first = _restore(lane, scenario, "killed", folder, lane.rto_s(scenario) + LENIENCE_S, stop)
    stop.set()
    killing.join(5.0)
    second = _restore(lane, scenario, "resumed", folder, lane.rto_s(scenario) + LENIENCE_S)
    stable = second.code == 0 and _stable(lane)
    lane.mark("resumed", killed=first.code is None, code=second.code, how=second.how, stable=stable)
    if stable:
        lane.ledger_look("resumed")
    return stable


def _in_one_go(lane: Lane, scenario: str, folder: Path) -> None:
    """What cannot be resumed may still be restored."""
    lane.tell("one backup, restored in one go")
    if _restore(lane, scenario, "supplied", folder, lane.rto_s(scenario) + LENIENCE_S).code == 0:
        _stable(lane)


def _stable(lane: Lane) -> bool:
    return lane.await_stable(lane.now() + 2 * LENIENCE_S * lane.context.scale)


def _restore(
    lane: Lane,
    scenario: str,
    purpose: str,
    folder: Path,
    within_s: float,
    stop: threading.Event | None = None,
) -> Ended:
    return lane.scripts.run(
        "restore",
        (*lane.context.wanted.dr.restore, "--scenario", scenario),
        within_s * lane.context.scale,
        purpose=purpose,
        backups=folder,
        stop=stop,
    )


def _kill_at(sign: Sign, stop: threading.Event) -> None:
    """Have the runbook killed a moment after `sign` shows."""
    while not stop.wait(0.02):
        if sign():
            stop.wait(_KILLED_AFTER_S)
            stop.set()


def written_in_namespace(lane: Lane, user: str) -> Sign:
    """Whether a user has written in the namespace since now."""
    since = lane.now()

    def sign() -> bool:
        last = lane.context.live.audit.last_write(user, SERVING)
        return last is not None and last > since

    return sign


def _supply(folder: Path, backup: Path) -> None:
    """Put a copy of a sealed backup there."""
    shutil.copytree(backup, folder / backup.name)
    seal(folder / backup.name)


def _folder(lane: Lane, name: str) -> Path:
    folder = lane.context.folder / f"supplied-{lane.name}-{name}"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def _told(sealed: SealedBackup) -> dict[str, object]:
    return {"id": sealed.id, "began": sealed.began, "ended": sealed.ended}
