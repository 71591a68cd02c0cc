"""One more loss, and backups of the grader's choosing: bad ones, then a good one, restored in two goes."""

import base64
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from graders.kube.client import ApiRefused
from graders.lab3.environment.lane import Lane
from graders.lab3.names import BACKED_UP, LENIENCE_S, SERVING, SUPPLIED
from graders.runbooks.corruption import tamper, truncate
from graders.runbooks.scripts import Ended
from graders.runbooks.sealed import SealedBackup, seal

Killing = Callable[[threading.Event], None]
"""Sets the event when the runbook is to be killed; runs in a thread of its own until then."""

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


def supplied(lane: Lane, scenario: str, lose: Callable[[], None], killing: Killing, *, bad: bool) -> None:
    """Lose it once more. With `bad`, supply what no restore may be made of first.

    It is the older one that is supplied alone: whoever has a copy elsewhere has one of the newest.
    """
    older, newest = lane.schedule.backups.sealed[-2:]
    with lane.schedule.halted(), lane.ledger.held():
        lane.look_at_objects(BACKED_UP)
        lane.mark("supplied", older=_told(older), newest=_told(newest), ledger=lane.ledger.name)
        lose()
        if bad:
            _bad(lane, scenario, lose, older, newest)
        folder = _folder(lane, "only")
        _supply(folder, lane.schedule.backups.folder / older.id)
        if not _in_two_goes(lane, scenario, folder, killing):
            lose()
            _in_one_go(lane, scenario, folder)
        lane.mark("given", **_told(older))
        lane.ledger_look(SUPPLIED)
        lane.look_at_objects(SUPPLIED)


def _bad(
    lane: Lane, scenario: str, lose: Callable[[], None], older: SealedBackup, newest: SealedBackup
) -> None:
    sealed = lane.schedule.backups.folder
    folders = {name: _folder(lane, name) for name in ("none", "cut", "forged", "newest-forged")}
    truncate(sealed / newest.id, folders["cut"] / token_hex(8))
    tamper(sealed / newest.id, folders["forged"] / token_hex(8), lane.ledger.seals)
    how = tamper(sealed / newest.id, folders["newest-forged"] / token_hex(8), lane.ledger.seals)
    _supply(folders["newest-forged"], sealed / older.id)
    lane.mark("forged", how=how)
    for name, folder in folders.items():
        lane.tell(f"a bad backup: {name}")
        ended = _restore(lane, scenario, f"bad-{name}", folder, lane.rto_s(scenario) + LENIENCE_S)
        if ended.code == 0:
            _stable(lane)
            lane.ledger_look(f"bad-{name}")
        lose()


def _in_two_goes(lane: Lane, scenario: str, folder: Path, killing: Killing) -> bool:
    """Kill the restore in the middle, and start it again; whether it recovers."""
    lane.tell("one backup, restored in two goes")
    stop = threading.Event()
    sign = threading.Thread(target=killing, args=(stop,), name="killing", daemon=True)
    sign.start()
    first = _restore(lane, scenario, "killed", folder, lane.rto_s(scenario) + LENIENCE_S, stop)
    stop.set()
    sign.join(5.0)
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


def after(sign: Callable[[], bool]) -> Killing:
    """Kill the runbook a moment after `sign` shows."""

    def killing(stop: threading.Event) -> None:
        while not stop.wait(0.02):
            if sign():
                stop.wait(_KILLED_AFTER_S)
                stop.set()

    return killing


def written_in_namespace(lane: Lane, user: str) -> Callable[[], bool]:
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
