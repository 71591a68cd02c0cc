"""Names that the lab text fixes, and those by which tracks and checks find each other; pure."""

HUB = "hub"
ENVIRONMENTS = ("dev", "staging", "prod")
"""The spokes, in the order in which a release goes through them."""

WEB, CACHE = "web", "cache"
"""Deployments, and the namespace of both is called like the first."""
NAMESPACE = "web"
ELSEWHERE = "lab-elsewhere"
NAMESPACES = (NAMESPACE, "gateway", "dev-tools", ELSEWHERE)
LABELLED = "dev-tools"
BESIDE = (LABELLED, "gateway", "default")
"""Where one attempt for each rule is made; the first is labelled with what the policies leave out."""
FOREIGN_NAMESPACES = (ELSEWHERE, "kube-system", "gateway", "dev-tools", "default")
"""Namespaces that are not the engine's to write in."""

ENFORCE = "pod-security.kubernetes.io/enforce"
"""The label by which a namespace says what pods it takes."""

ENGINE = "gitops"
INTRUDER, DRIFTER = "lab-intruder", "lab-drift"
"""Users of a spoke: the learner's engine, and two administrators that the grader plays."""

SYSTEM_NAMESPACES = ("kube-", "argocd", "flux-system", "kyverno", "gatekeeper-system")
"""Namespaces, by their beginnings, in which no rule of the policies holds."""

PAPER = "paper"
INSTALL = "install"
PROMOTION = "promotion"
GATE = "gate"
RACE = "race"
STEADY = "steady"
DRIFT = "drift"
PRUNE = "prune"
ADMISSION = "admission"
ROLLBACK = "rollback"
OUTAGE = "outage"

WINDOW_S = 15.0
"""W: how long something must not happen, before the machine at hand stretches it."""
QUIET_S = 5.0
"""A settled fleet was not written to by the engine for so long."""
READY_AFTER_S = 3.0
"""New pods of web become ready so long after they start."""
HELD_S = {"dev": 15.0, "staging": 10.0}
"""So long are the pods of the second release held."""
NOTE = "docs/note.txt"
"""A file that is about no object."""
GATED = "gated"
RIGHTS = "rights"
BAD_WORKLOAD, BAD_SERVICE = "lab-unbounded", "lab-exposed"
"""What the grader commits that breaks R2 and R4."""
PREFLIGHT = "preflight"
REVIEW = "review"
CLOSED = "fail-closed"
SECRETS = "secrets"

SERVING = "web and cache on every spoke"
"""What the first track waits for, and what every other begins with."""
