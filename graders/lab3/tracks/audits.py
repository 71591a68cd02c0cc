"""The track of the audits: how the control plane was started, and what kube-hunter finds of it."""

from graders.audits.hunting import COMMAND, hunt
from graders.audits.records import CommandLine
from graders.clusterctl.records import CONTROL_PLANE_PARTS
from graders.kube.addresses import server_address
from graders.lab3.environment.context import LaneContext
from graders.scenario.learner import sandbox_spec

WITHIN_S = 90.0


def audits(context: LaneContext) -> None:
    """Put command lines on record; let kube-hunter look, passively, out of a network of its own.

    Raises:
        InfraFault: a component does not run, or the sandbox cannot be made.
    """
    recording, cluster, environment = context.recording, context.live.name, context.environment
    for name in CONTROL_PLANE_PARTS:
        words = context.control.command_line(name)
        recording.writer.add(CommandLine(recording.clock.now(), name, words, cluster))
    context.task.update(detail="kube-hunter")
    spec = sandbox_spec(
        environment.submission,
        environment.hunter,
        "kube-hunter",
        environment.folder / "hunter",
        COMMAND,
        environment.tool_limits,
    )
    servers = {
        "api": server_address(context.live.kube.server),
        "etcd": server_address(context.control.etcd.endpoints[0]),
    }
    within_s = WITHIN_S * context.scale
    recording.writer.add(hunt(environment.sandbox, spec, recording, servers, within_s, cluster))
