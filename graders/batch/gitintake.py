"""Submissions from Git: one commit of each learner, fetched outside the sandbox and never trusted.

No hook, filter or submodule of a learner's runs, nobody is asked for a password, and what is fetched or
checked out is bounded: in bytes a file by a limit that the kernel holds, in all by what the commit lists.
"""

import os
import re
import signal
import subprocess
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from graders.batch.intake import HandIn, instant
from graders.documents.wording import file_name, printable
from graders.faults import InfraFault, UsageError
from graders.once import remove_tree
from graders.process import run_to_end
from graders.submissions.limits import SubmissionLimits

LEARNER = "{learner}"
"""Stands for the learner's id in a URL or a ref."""

REF = f"refs/heads/{LEARNER}"

_SECRET = re.compile(r"^([a-z]+://)[^/@]*@")
_ANSWERS_WITHIN_S = 60.0
_FETCHES_WITHIN_S = 300.0
_AT_ONCE = 8
_SCHEMES = ("http://", "https://", "ssh://", "git://", "file://")
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "GIT_ASKPASS": "false",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=20",
    "LC_ALL": "C",
}
_SETTINGS = {
    "core.attributesFile": os.devnull,
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "safe.directory": "*",
    "submodule.recurse": "false",
}
_MALFORMED = re.compile(r"^(?:remote: )?error: object ([0-9a-f]{40,64}: .*)$", re.MULTILINE)
_CUT_OFF = f"died of signal {signal.SIGXFSZ.value}"


class _CommitRefused(Exception):
    """The learner's own commit is refused: it is too large, or git says that it is malformed."""


@dataclass(frozen=True)
class GitSource:
    """Where a class hands in: a URL and a ref, either of which may hold `{learner}`."""

    url: str
    ref: str = REF

    def url_for(self, learner_id: str) -> str:
        """The URL of a learner's repository."""
        return self.url.replace(LEARNER, learner_id)

    def ref_for(self, learner_id: str) -> str:
        """The full name of a learner's ref."""
        ref = self.ref.replace(LEARNER, learner_id)
        return ref if ref.startswith("refs/") else f"refs/heads/{ref}"


def is_git(source: str) -> bool:
    """Whether what somebody named as submissions is the URL of a Git repository."""
    return source.startswith(_SCHEMES) or (source.startswith("git@") and ":" in source)


def hand_ins_from(
    source: GitSource, learners: Collection[str], folder: Path, limits: SubmissionLimits | None = None
) -> list[HandIn]:
    """Fetch the commit of each learner who has one; each is checked out below the new folder `folder`.

    A learner whose own repository does not answer, or whose commit is too large, has a hand-in with a
    problem: the others are not held up.

    Raises:
        UsageError: neither URL nor ref says whose a commit is. InfraFault: the one repository of all does not
            answer.
    """
    if LEARNER not in source.url and LEARNER not in source.ref:
        raise UsageError(
            f"neither {_shown(source.url)} nor the ref {printable(source.ref)} says whose a commit is",
            fix=f"put {LEARNER} where the learner's id stands, such as --ref {REF}",
        )
    refs = None if LEARNER in source.url else _refs(source.url)

    def of(learner: str) -> HandIn | None:
        try:
            there = refs if refs is not None else _refs(source.url_for(learner))
        except InfraFault as fault:
            return HandIn(learner, folder / learner, problem=str(fault))
        if source.ref_for(learner) not in there:
            return None
        return _fetched(source, learner, folder / learner, limits or SubmissionLimits())

    # A host that is silent keeps each of a class waiting to the limit: in turn, that is hours.
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="git") as threads:
        return [found for found in threads.map(of, learners) if found is not None]


def _refs(url: str) -> Collection[str]:
    """The full names of all refs of a repository."""
    listed = _git(["ls-remote", "--quiet", "--", url], url, timeout_s=_ANSWERS_WITHIN_S)
    return {line.partition("\t")[2] for line in listed.splitlines()}


def _fetched(source: GitSource, learner: str, folder: Path, limits: SubmissionLimits) -> HandIn:
    url, ref = source.url_for(learner), source.ref_for(learner)
    repository = folder.with_name(f".{folder.name}.git")
    try:
        _git(["init", "--quiet", "--bare", "--", str(repository)], url)
        at = [f"--git-dir={repository}"]
        fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--", url, ref]
        _git([*at, *fetch], url, most_bytes=limits.archive_bytes, timeout_s=_FETCHES_WITHIN_S)
        handed_in = instant(_git([*at, "log", "-1", "--format=%ct", "FETCH_HEAD"], url))
        if problem := _too_large(_git([*at, "ls-tree", "-r", "-l", "-z", "FETCH_HEAD"], url), limits):
            return HandIn(learner, folder, handed_in, f"{printable(ref)}: {problem}", rejected=True)
        folder.mkdir(parents=True)
        checkout = [f"--work-tree={folder}", "checkout", "--quiet", "--force", "FETCH_HEAD", "--", "."]
        _git([*at, *checkout], url, most_bytes=limits.file_bytes)
    except _CommitRefused as refused:
        return HandIn(learner, folder, problem=f"{printable(ref)}: {refused}", rejected=True)
    except InfraFault as fault:
        remove_tree(folder)
        return HandIn(learner, folder, problem=str(fault))
    finally:
        remove_tree(repository)
    return HandIn(learner, folder, handed_in)


def _too_large(listing: str, limits: SubmissionLimits) -> str:
    """Why the files that `git ls-tree -l` lists are none, too many or too large; empty where they are not."""
    entries = [entry.partition("\t") for entry in listing.split("\0") if entry]
    sizes = {name: before.split()[-1] for before, _, name in entries}
    bytes_of = {name: int(size) for name, size in sizes.items() if size.isdecimal()}
    total = sum(bytes_of.values())
    if not sizes:
        return "the commit holds no files"
    if len(sizes) > limits.files:
        return f"the commit has {len(sizes)} files, and {limits.files} are the most"
    if total > limits.total_bytes:
        return f"the commit's files hold {total} bytes, and {limits.total_bytes} are the most"
    largest = max(bytes_of, key=bytes_of.__getitem__, default="")
    if largest and bytes_of[largest] > limits.file_bytes:
        size = bytes_of[largest]
        return f"{file_name(largest)} holds {size} bytes, and {limits.file_bytes} are the most of a file"
    return ""


def _git(
    arguments: list[str], url: str, *, most_bytes: int | None = None, timeout_s: float = _ANSWERS_WITHIN_S
) -> str:
    """Run git, and give what it printed; no file that it writes is over `most_bytes`.

    Raises:
        InfraFault: it failed, or took longer. _CommitRefused: what it fetched is too large, or malformed.
    """
    limit = ["prlimit", f"--fsize={most_bytes}", "--"] if most_bytes is not None else []
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    fix = "see that the URL can be reached and read from here: git ls-remote URL"
    try:
        status, printed, errors = run_to_end(
            [*limit, "git", *settings, *arguments], environment=_environment(), timeout_s=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise InfraFault(f"{_shown(url)} did not answer within {timeout_s:g} s", fix=fix) from error
    if status != 0:
        told = errors.decode("utf-8", "replace").replace(url, _shown(url))
        if most_bytes is not None and (status == -signal.SIGXFSZ or _CUT_OFF in told):
            raise _CommitRefused(f"the commit takes over {most_bytes} bytes, which are the most")
        if malformed := _MALFORMED.search(told):
            raise _CommitRefused(
                f"git finds a malformed object in the commit, {printable(malformed[1], longest=200)}; "
                "commit the files anew with a current git"
            )
        said = printable(_said(told), longest=400) or f"git ended with status {status}"
        raise InfraFault(f"{_shown(url)}: {said}", fix=fix)
    return printed.decode("utf-8", "replace")


def _said(errors: str) -> str:
    """What git says went wrong, without warnings and without the advice that follows."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    lines = [line for line in lines if not line.lower().startswith("warning")]
    last = next((place for place, line in enumerate(lines) if line.startswith("fatal:")), len(lines) - 1)
    return "; ".join(lines[: last + 1])


def _shown(url: str) -> str:
    """A URL as it may be printed: without the password or token in it."""
    return printable(_SECRET.sub(r"\1***@", url), longest=200)


def _environment() -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**kept, **_ENVIRONMENT}
