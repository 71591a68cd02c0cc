"""kube-hunter, run passively in a sandbox whose network leads to one cluster and nowhere else."""

from collections.abc import Mapping
from dataclasses import replace

from graders.audits.records import HunterRun
from graders.evidence.recording import Recording
from graders.sandbox.protocol import Sandbox, SandboxSpec
from graders.scenario.learner import ended

COMMAND = (
    "kube-hunter", "--remote", "127.0.0.1", "--report", "json", "--log", "none", "--num-worker-threads", "16",
)  # fmt: skip
_PORTS = {"api": 6443, "etcd": 2379}
"""Where it looks for them: without an anonymous user it finds etcd alone."""


def hunt(
    sandbox: Sandbox,
    spec: SandboxSpec,
    recording: Recording,
    servers: Mapping[str, tuple[str, int]],
    within_s: float,
    cluster: str,
) -> HunterRun:
    """Run `COMMAND` as `spec` has it; it looks at a list of ports, of which two lead to `servers`.

    `servers` are host and port of `api` and `etcd`.

    Raises:
        InfraFault: the sandbox cannot be made.
    """
    t = recording.clock.now()
    if sandbox.caution:
        # It would look at whatever this machine serves.
        why = "was not run: that takes a sandbox with a network of its own"
        return HunterRun(t, t, False, why, "", cluster, skipped=True)
    spec = replace(spec, doors=tuple(_PORTS), ports=_PORTS)
    with ended(sandbox, spec, recording, within_s, servers) as (process, status):
        said = process.log_path.read_text(encoding="utf-8", errors="replace")
    told = [line for line in said.splitlines() if line.startswith("{")]
    ok = status.code == 0 and bool(told)
    how = str(status) if told else f"{status}, and printed no report: {said[-300:]}"
    return HunterRun(t, recording.clock.now(), ok, how, told[-1] if told else "", cluster)
