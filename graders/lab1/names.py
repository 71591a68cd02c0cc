"""Names that tracks give and checks look for."""

from __future__ import annotations

MORTAL_JOB = "mortal"
"""The job whose operator dies after every write."""

UNDISTURBED = ""
"""The part of the crash-points track in which nobody dies."""

FOREIGN_LABEL = "audit.example/reviewed"
FOREIGN_FINALIZER = "audit.example/keep"
FOREIGN_CONDITION = "Audited"
"""What somebody else puts on a job between the operator's read and its write."""
