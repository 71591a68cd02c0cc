"""What this process was started in, made such that none of it decides what a grading says.

Umask, locale, proxies, home, temporary folder and standard streams are the caller's, and differ between a
terminal, a timer, a CI job and a container. `settle` is called once, before anything else is done.
"""

import codecs
import locale
import os
import pwd
import sys
import tempfile
from pathlib import Path

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts that no proxy ever leads to."""

_UMASK = 0o022
_SETTLED = "utf8"

_callers_umask = _UMASK


def settle() -> None:
    """Make umask, locale, proxies, home, temporary folder and streams what everything here relies on.

    Where the locale is not UTF-8 the interpreter is started anew, in its UTF-8 mode: only there do
    arguments, names of files, pipes and files all mean the same. What is printed is then what the
    terminal can show, with replacements.
    """
    _open_streams()
    _speak_utf8()
    _share_with_the_sandbox()
    _bypass_proxies()
    _have_a_home()
    _have_a_temporary_folder()


def make_folder(folder: Path) -> None:
    """Make `folder`, and those above it, as private as the caller's umask wants them.

    Raises:
        OSError: it cannot be made.
    """
    before = os.umask(_callers_umask)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)


def typed(text: str) -> str:
    """An argument as somebody typed it, without what cannot be written as UTF-8."""
    raw = os.fsencode(text)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode(locale.getencoding(), "replace")


def _open_streams() -> None:
    """Standard streams that the caller closed lead to nothing, and not to the next file that is opened."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _speak_utf8() -> None:
    named = locale.getencoding()
    foreign = codecs.lookup(named).name not in ("utf-8", "utf_8")
    if foreign and not sys.flags.utf8_mode:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-X", _SETTLED, *sys.orig_argv[1:]])  # noqa: S606
    ours = foreign and _SETTLED in sys._xoptions and "PYTHONIOENCODING" not in os.environ
    for stream in (sys.stdout, sys.stderr):
        # Whoever has put something else in its place decides about it.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace", **({"encoding": named} if ours else {}))


def _share_with_the_sandbox() -> None:
    """What is made for a sandbox, whose user is nobody's, must be readable for everybody."""
    global _callers_umask  # noqa: PLW0603  (the kernel has one for the process, too)
    _callers_umask = os.umask(_UMASK)


def _bypass_proxies() -> None:
    """Nothing on this machine is reached through a proxy, by us or by what we start."""
    names = ("NO_PROXY", "no_proxy")
    # Some programs read only one of the two, and of two that differ not all take the same.
    given = [host.strip() for name in names for host in os.environ.get(name, "").split(",") if host.strip()]
    if "*" not in given:
        os.environ.update(dict.fromkeys(names, ",".join(dict.fromkeys((*given, *LOOPBACK)))))


def _have_a_home() -> None:
    if not os.environ.get("HOME"):
        try:
            os.environ["HOME"] = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            os.environ.pop("HOME", None)


def _have_a_temporary_folder() -> None:
    """A TMPDIR where nothing can be written is replaced, for programs that we start would insist on it."""
    wanted = os.environ.get("TMPDIR")
    if not wanted:
        return
    try:
        found = tempfile.gettempdir()
    except FileNotFoundError:
        return
    if Path(found) != Path(wanted).absolute():
        os.environ["TMPDIR"] = found
        print(f"kubeproof: nothing can be written to TMPDIR, {wanted}; {found} is used", file=sys.stderr)
