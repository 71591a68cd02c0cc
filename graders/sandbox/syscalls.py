"""The system calls a sandbox refuses, as a seccomp filter in the kernel's classic BPF.

Refused is what reaches past the sandbox's limits or into its launcher: new namespaces and mounts;
looking into or re-scheduling another process; memory that no process's size shows; kernel keyrings;
socket families that a network namespace does not confine (AF_VSOCK reaches the host of a virtual
machine); and large kernel interfaces that no lab needs. See seccomp(2) and
Documentation/userspace-api/seccomp_filter.rst.
"""

import errno
import os
import platform
import struct

_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_NEW_NAMESPACES = 0x7E020080
_X32_BIT = 0x40000000

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_COLUMN = {"x86_64": 0, "aarch64": 1}

_REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "syslog": (103, 116),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "ioprio_set": (251, 30),
}
_ABSENT = {
    # Callers fall back to older calls when told that these do not exist. clone3 hides its flags from
    # a filter; memory of memfd_create counts to no process.
    "clone3": (435, 435),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_SELF_ONLY = {
    # Name: numbers, and which arguments must be 0, meaning the caller itself.
    "prlimit64": ((302, 261), (0,)),
    "setpriority": ((141, 140), (0, 1)),
    "sched_setparam": ((142, 118), (0,)),
    "sched_setscheduler": ((144, 119), (0,)),
    "sched_setaffinity": ((203, 122), (0,)),
    "sched_setattr": ((314, 274), (0,)),
}
_CLONE = (56, 220)
_SOCKET = (41, 198)
_FAMILIES = (1, 2, 10, 16)
"""unix, inet, inet6, netlink (address lookups ask it)."""


def filter_program(machine: str | None = None) -> bytes | None:
    """The filter for this machine's processor as bubblewrap reads it; None where there is none for it."""
    machine = machine or platform.machine()
    if machine not in _AUDIT:
        return None
    column = _COLUMN[machine]
    code = [
        _op(_LOAD, _ARCHITECTURE),
        _op(_JUMP_EQUAL, _AUDIT[machine], 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_op(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _op(_RETURN, _REFUSE | errno.ENOSYS)]
    for names, error in ((_REFUSED, errno.EPERM), (_ABSENT, errno.ENOSYS)):
        for numbers in names.values():
            code += [_op(_JUMP_EQUAL, numbers[column], 0, 1), _op(_RETURN, _REFUSE | error)]
    refuse, allow = _op(_RETURN, _REFUSE | errno.EPERM), _op(_RETURN, _ALLOW)
    for numbers, arguments in _SELF_ONLY.values():
        body = []
        for index in arguments:
            body += [_op(_LOAD, _ARGUMENTS + 8 * index), _op(_JUMP_EQUAL, 0, 1, 0), refuse]
        code += _when(numbers[column], [*body, allow])
    code += _when(
        _CLONE[column],
        [_op(_LOAD, _ARGUMENTS), _op(_JUMP_ANY_BIT, _NEW_NAMESPACES, 0, 1), refuse, allow],
    )
    families = [part for family in _FAMILIES for part in (_op(_JUMP_EQUAL, family, 0, 1), allow)]
    code += _when(_SOCKET[column], [_op(_LOAD, _ARGUMENTS), *families, refuse])
    return b"".join([*code, allow])


def filter_file() -> int | None:
    """A descriptor to read the filter from, the caller's to close."""
    program = filter_program()
    if program is None:
        return None
    descriptor = os.memfd_create("seccomp")
    os.write(descriptor, program)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _op(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, when_true, when_false, value)


def _when(number: int, body: list[bytes]) -> list[bytes]:
    """Run `body`, which must return, for this system call only: it leaves another word loaded."""
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]
