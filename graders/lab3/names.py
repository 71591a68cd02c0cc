"""The names that acting and judging share: scenarios with their ceilings, tracks, places, formats."""

from dataclasses import dataclass

CONTROL_PLANE_LOSS, NAMESPACE_DELETED = "control-plane-loss", "namespace-deleted"
POD_KILL, NODE_LOSS, CONTROLLER_LOSS = "pod-kill", "node-loss", "controller-loss"
JUDGED_BY = {
    POD_KILL: ("serving", "capacity"),
    NODE_LOSS: ("serving", "capacity"),
    CONTROLLER_LOSS: ("canary",),
}
"""The probes that judge a scenario, where they are not all four."""
WITHOUT_RESTORE = MITIGABLE = (POD_KILL, NODE_LOSS)
"""What a workload has to survive by itself, and what can be mitigated."""
MITIGATED = ("before", "after")
"""The folders of a mitigation."""
UNKNOWN = "unknown"
"""What a runbook is told where nobody says what happened."""
UNKNOWN_RTO_S = 30.0
STABLE_S = 10.0
"""W: for how long no slot may fail until a recovery counts as one."""
LENIENCE_S = 30.0
"""How long after its target a recovery is still waited for; beyond that it counts no more."""


@dataclass(frozen=True)
class Ceiling:
    """The targets that a learner may undercut and not raise, in seconds of a machine that keeps up."""

    rto_s: float
    rpo_s: float


CEILINGS = {
    POD_KILL: Ceiling(10, 0),
    NODE_LOSS: Ceiling(30, 0),
    CONTROLLER_LOSS: Ceiling(30, 0),
    CONTROL_PLANE_LOSS: Ceiling(45, 15),
    NAMESPACE_DELETED: Ceiling(45, 15),
}
"""By scenario, in the order in which they are told."""

PAPERS, CONTROL_PLANE, NAMESPACE = "papers", "control-plane", "namespace"
WORKLOAD, EXPERIMENTS, AUDITS = "workload", "experiments", "audits"
"""Tracks: one a lane, and what needs no cluster."""

BACKED_UP, SUPPLIED = "backed-up", "supplied"
"""When workload/ is looked at: as the backup that is supplied alone has it, and as it came back."""
LEFT = "left"
"""When a ledger is looked at that a runbook gave up on, once all processes run again."""
OVER = "over"
"""The mark of a lane that ended early, for the runbook left a cluster with which nothing could be done."""

SERVING, PREDICTOR = "serving", "predictor"
"""The namespace of the protected workload, and its Deployment and Service."""
NEIGHBOUR = "tenant-b"
"""Somebody else's namespace, with a ledger of its own."""
RANDOM_PHASE, LATE = "random-phase", "late"
"""Where between two backups a loss comes: anywhere, and just before the next one."""
CHAOS = "chaos"
"""The namespace of the experiments' ServiceAccount."""
CANARIES = "kubeproof-canary"
"""The grader's own namespace."""

LEDGER_LABEL, PROBE_LABEL = "mod201.dev/ledger", "mod201.dev/probe"
MODELS_CRD = "models.registry.mod201.dev"
MODELS_GROUP, MODELS_VERSION = "registry.mod201.dev", "v1alpha1"

DR_USER = "kubeproof:dr"
OWN_PREFIX = "dr-"
"""Objects so named belong to the runbook."""

NOTEBOOK = "report.ipynb"
REPORTS = ("report.md", NOTEBOOK)
BACKLOG, RUNBOOK = "backlog.yaml", "dr/RUNBOOK.md"
JUDGED_FILES = (*REPORTS, BACKLOG, RUNBOOK)
JUDGED_FOLDERS = ("evidence", "experiments", "audits", "mitigations", "workload")
"""What of a hand-in is read for its text."""
DRILL_SCHEMA = "kubeproof/lab3-drill/v1"

LEDGER_SALT = b"kubeproof/lab3-ledger/v1"
"""As it was first written: under another one no recorded ledger is genuine any more."""
