"""The track of the audits: how the control plane was started, and what kube-hunter finds of it."""

from __future__ import annotations

from graders.audits.hunting import COMMAND, hunt
from graders.audits.records import CommandLine
from graders.clusterctl.records import CONTROL_PLANE_PARTS
from graders.kube.addresses import server_address
from graders.lab3.world.setting import LaneSetting
from graders.scenario.learner import sandbox_spec

WITHIN_S = 90.0


def audits(setting: LaneSetting) -> None:
    """Put command lines on record; let kube-hunter look, passively, out of a network of its own.

    Raises:
        InfraFault: a component does not run, or the sandbox cannot be made.
    """
    recording, cluster, kit = setting.recording, setting.live.name, setting.kit
    for name in CONTROL_PLANE_PARTS:
        words = setting.control.command_line(name)
        recording.writer.add(CommandLine(recording.clock.now(), name, words, cluster))
    setting.task.update(detail="kube-hunter")
    spec = sandbox_spec(
        kit.submission.root, kit.hunter, "kube-hunter", kit.folder / "hunter", COMMAND, kit.tool_limits
    )
    servers = {
        "api": server_address(setting.live.kube.server),
        "etcd": server_address(setting.control.etcd.endpoints[0]),
    }
    within_s = WITHIN_S * setting.scale
    recording.writer.add(hunt(kit.sandbox, spec, recording, servers, within_s, cluster))
