"""Whose fault: the error taxonomy that decides what an exception costs, and whom.

======================  ==============  ============================================================
raised                  owner           effect
======================  ==============  ============================================================
`Unmet`                 learner         a check fails; points lost; the learner sees why
`BadSubmission`         learner         the submission is REJECTED, with file and line
`InfraFault`            infrastructure  one retry on a fresh cluster, then UNGRADED: never a zero
`CourseError`           course author   exit 2 before any cluster starts
`UsageError`            caller          exit 2 with what to type instead
anything else           the grader      UNGRADED, traceback for staff, no retry
======================  ==============  ============================================================
"""

import errno
from collections.abc import Mapping
from pathlib import PurePath


class KubeproofError(Exception):
    """Root of every error that kubeproof raises on purpose."""


class Unmet(KubeproofError):
    """A requirement the evidence does not show; raised by checks only.

    `expected` and `observed` are sentences for the learner, `hint` is a next step, `facts` are
    measured values by name. `blocked_by` is the check whose failure left nothing to look at.
    """

    def __init__(
        self,
        expected: str,
        observed: str,
        *,
        hint: str = "",
        facts: Mapping[str, object] | None = None,
        blocked_by: str = "",
    ) -> None:
        super().__init__(f"expected {expected}; observed {observed}")
        self.blocked_by = blocked_by
        self.expected = expected
        self.observed = observed
        self.hint = hint
        self.facts: Mapping[str, object] = facts or {}


class LocatedError(KubeproofError):
    """An error in somebody's file: says which file, which line and how to mend it."""

    def __init__(
        self, problem: str, *, file: str | PurePath = "", line: int | None = None, fix: str = ""
    ) -> None:
        self.problem = problem
        self.file = str(file)
        self.line = line
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        where = self.file + (f":{self.line}" if self.line is not None else "")
        text = f"{where}: {self.problem}" if where else self.problem
        return f"{text}\n  fix: {self.fix}" if self.fix else text


class BadSubmission(LocatedError):
    """The learner's hand-in cannot be graded as it is: verdict REJECTED."""


class CourseError(LocatedError):
    """A lab, rubric or check of the course contradicts itself: exit 2 before any cluster starts."""


class UsageError(LocatedError):
    """The command was called with something that cannot be: exit 2."""


class InfraFault(KubeproofError):
    """The harness, the machine or the network failed; the learner is not to blame.

    `fix` says what staff can do about it.
    """

    def __init__(self, problem: str, *, fix: str = "") -> None:
        self.problem = problem
        self.fix = fix
        super().__init__(f"{problem}\n  fix: {fix}" if fix else problem)


_MACHINES = {
    errno.ENOSPC: "free some space, or have TMPDIR and --out on another disk",
    errno.EDQUOT: "free some of your quota, or have TMPDIR and --out elsewhere",
    errno.EROFS: "name folders that can be written: TMPDIR, KUBEPROOF_CACHE, KUBEPROOF_STATE, --out",
    errno.EFBIG: "raise the limit of a file's size: ulimit -f unlimited",
    errno.EIO: "see what the kernel's log says of the disk",
    errno.ESTALE: "mount the network file system anew",
    errno.EMFILE: "raise the limit of open files: ulimit -n 65536",
    errno.ENFILE: "raise the machine's limit of open files: sysctl -w fs.file-max=1000000",
    errno.ENOMEM: "free some memory, or grade fewer at a time",
    errno.EAGAIN: "raise the limit of processes: ulimit -u 65536",
}
"""What a machine can run out of, and what to do about it."""


def machine_fault(error: BaseException) -> InfraFault | None:
    """The fault of infrastructure that `error`, or what caused it, is; None for a bug."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _MACHINES:
            return InfraFault(f"this machine failed: {cause}", fix=_MACHINES[cause.errno])
        cause = cause.__cause__
    return None
