"""The track of the audits: how the control plane was started, and what kube-hunter finds of it."""

from __future__ import annotations

from dataclasses import replace

from graders.kube.addresses import server_address
from graders.lab3.names import CONTROL_PLANE_PARTS
from graders.lab3.records import CommandLine, HunterRun
from graders.lab3.world.lane import LaneSetting
from graders.scenario.learner import ended, sandbox_spec

WITHIN_S = 90.0
_PORTS = {"api": 6443, "etcd": 2379}
"""Where it looks for them: without an anonymous user it finds etcd alone."""
_HUNT = (
    "kube-hunter", "--remote", "127.0.0.1", "--report", "json", "--log", "none", "--num-worker-threads", "16",
)  # fmt: skip


def audits(setting: LaneSetting) -> None:
    """Put command lines on record; let kube-hunter look, passively, out of a network of its own.

    Raises:
        InfraFault: a component does not run, or the sandbox cannot be made.
    """
    recording, cluster = setting.recording, setting.live.name
    for name in CONTROL_PLANE_PARTS:
        words = setting.control.command_line(name)
        recording.writer.add(CommandLine(recording.clock.now(), name, words, cluster))
    setting.task.update(detail="kube-hunter")
    recording.writer.add(_hunt(setting))


def _hunt(setting: LaneSetting) -> HunterRun:
    """It looks at a list of ports, of which two lead to the cluster."""
    kit, t, cluster = setting.kit, setting.recording.clock.now(), setting.live.name
    if kit.sandbox.caution:
        # It would look at whatever this machine serves.
        why = "was not run: that takes a sandbox with a network of its own"
        return HunterRun(t, t, False, why, "", cluster, skipped=True)
    spec = sandbox_spec(
        kit.submission.root, kit.hunter, "kube-hunter", kit.folder / "hunter", _HUNT, kit.tool_limits
    )
    spec = replace(spec, doors=tuple(_PORTS), ports=_PORTS)
    etcd = setting.control.etcd.endpoints[0]
    servers = {"api": server_address(setting.live.kube.server), "etcd": server_address(etcd)}
    with ended(kit.sandbox, spec, setting.recording, WITHIN_S * setting.scale, servers) as (process, status):
        said = process.log_path.read_text(encoding="utf-8", errors="replace")
    told = [line for line in said.splitlines() if line.startswith("{")]
    ok = status.code == 0 and bool(told)
    how = str(status) if told else f"{status}, and printed no report: {said[-300:]}"
    return HunterRun(t, setting.recording.clock.now(), ok, how, told[-1] if told else "", cluster)
