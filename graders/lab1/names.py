"""Jobs and marks that tracks act with and checks look for, by their names; pure."""

IN_CLUSTER = "in-cluster"
"""The track on a cluster of real nodes."""

RUN = "run"
"""A track of no acting: the audit of the whole run, and what the manifests grant."""

OPERATOR_NOT_READY = "operator-not-ready"
"""The mark of an operator that never read a job."""

HANDED_IN = "handed-in"
"""The mark that says what of a submission decides whether Python finds its modules."""

MORTAL_JOB = "mortal"
"""The job whose operator dies after every write."""

UNDISTURBED = ""
"""The part of the crash-points track in which nobody dies."""

FOREIGN_LABEL = "audit.example/reviewed"
FOREIGN_FINALIZER = "audit.example/keep"
FOREIGN_CONDITION = "Audited"
"""What somebody else puts on a job between the operator's read and its write."""

LEAST = "least-of-all-by-a-name-as-long-as-the-text-lets-it"
"""A job that leaves out all it may, the metadata of its template too."""

DEADLINE_S = 5
TTL_S = 5

UNTOUCHED = "untouched"
"""A job with a deadline, of which nobody hears before it."""
UNTOUCHED_DEADLINE_S = 7
"""Later than the last news of its pod reaches an operator that was just restarted."""

IN_TIME = "in-time"
"""A job that is Complete before its deadline."""
IN_TIME_DEADLINE_S = 12

STUCK = "stuck"
"""A job with a deadline whose pod finds no place."""

AT_ONCE = "at-once"
"""A job with a time to live of nothing."""

SPENT = "spent"
"""A job that fails, and has a time to live as well."""

STRICT = "strict"
"""A job that may not fail at all."""

CROWD, CROWD_NODES = "crowd", 5
"""A job whose pods all fail at once, one more than may."""

BESIDE, BEFORE, SIGNALLED = "beside", "before", "signalled"
"""Jobs that fail by a container which is not the first, by an init container, and by signals too often."""
