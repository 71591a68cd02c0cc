"""Whether a lost control plane comes back: in time, with what was written, and so that clients notice."""

from typing import Any

from graders.evidence.bundle import Bundle
from graders.judging import Facts, Findings, check
from graders.lab3.lanerecord import LaneRecord
from graders.lab3.losses import drills_of, judge_rpo, judge_rto
from graders.lab3.names import CONTROL_PLANE, CONTROL_PLANE_LOSS, LATE
from graders.model import Capability

_ALL_BACK_S = {"deployment_s": 5.0, "garbage_s": 10.0}


@check(
    "control-plane-rto",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="`kubeproof grade lab3 DIR --only control-plane-rto --keep`, and read the log of dr/restore.",
)
def check_control_plane_rto(bundle: Bundle, facts: Facts) -> None:
    """After the loss of etcd's data and the API server, all is back within your target."""
    judge_rto(bundle, facts, CONTROL_PLANE, CONTROL_PLANE_LOSS)


@check(
    "control-plane-rpo",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="Restore the newest backup that is whole, and all of it.",
)
def check_control_plane_rpo(bundle: Bundle, facts: Facts) -> None:
    """It is back with what was written, but for what your target allows to be lost."""
    judge_rpo(bundle, facts, CONTROL_PLANE, CONTROL_PLANE_LOSS)


@check(
    "watches",
    tracks=(CONTROL_PLANE,),
    needs=(Capability.ETCD_ACCESS,),
    hint="etcdutl snapshot restore has --bump-revision and --mark-compacted: clients hold revisions that the "
    "snapshot does not know.",
)
def check_watches(bundle: Bundle, facts: Facts) -> None:
    """Clients that lived through the loss learn of it, or of what comes next."""
    record = LaneRecord(bundle, CONTROL_PLANE)
    # A drill that decided nothing was done again: the last one counts.
    drill = drills_of(record, CONTROL_PLANE_LOSS, LATE)[-1]
    looks = [mark for mark in record.marks if mark.name == "client" and drill.t <= mark.t <= drill.watched]
    nothing: dict[str, Any] = {"problem": "restore did not end with 0"}
    client = looks[-1].data if looks else nothing
    until = looks[-1].t if looks else drill.watched
    with Findings("clients that go on where they were") as found:
        if client["problem"]:
            record.blame(drill.t, until)
            found.miss(f"there was nothing to see: {client['problem']}")
            return
        facts.update({key: client[key] for key in ("listed", "after", "watch", *_ALL_BACK_S)})
        found.expect(
            client["after"] >= client["listed"],
            "a list not older than one before the loss",
            f"the list says revision {client['after']}, and before the loss one said {client['listed']}",
        )
        late = {name: _late(client[name], limit_s * record.scale) for name, limit_s in _ALL_BACK_S.items()}
        if not found.all and (client["watch"] not in _LEARNS or any(late.values())):
            record.blame(drill.t, until)
        found.expect(
            client["watch"] in _LEARNS,
            "a watch from before the loss to end with 410, or to tell of a write, within 5 s",
            f"a watch from before the loss is {client['watch']}",
        )
        for name, told in late.items():
            what = _CLIENT[name]
            found.expect(not told, f"{what} within {_ALL_BACK_S[name]:g} s", f"{what} {told}", _SLEEPY)


def _late(took_s: float | None, limit_s: float) -> str:
    """When it came; empty if that was in time."""
    if took_s is None:
        return "never"
    return f"after {took_s:.1f} s" if took_s > limit_s else ""


_LEARNS = ("gone", "write")
_SLEEPY = (
    "Controllers and scheduler wait ever longer before they ask an API server again that did not answer: "
    "restart them once it does."
)
_CLIENT = {"deployment_s": "a new Deployment ready", "garbage_s": "what a deleted owner owned gone"}
