"""What stands in a submission's folder and is no part of it: neither checked, copied nor digested.

Some names are a tool's own, whatever is behind them. Environments, caches and results of gradings are known
by what is in them, for anybody's folder may be called `env` or `out`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from graders.documents.wording import quote
from graders.faults import BadSubmission
from graders.outfolder import MARKER

_NAMES = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".jj",
        "node_modules",
        "__pycache__",
        "__MACOSX",
        ".cache",
        ".direnv",
        ".eggs",
        ".hypothesis",
        ".idea",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".terraform",
        ".tox",
        ".vscode",
        ".DS_Store",
        MARKER,
    }
)
"""Names that version control, caches, editors and file managers keep for themselves."""

ENVIRONMENT = "pyvenv.cfg"
CACHE = "CACHEDIR.TAG"
CACHE_SIGNATURE = b"Signature: 8a477f597d28d172789f06886806bc55"
"""What a file of that name begins with (https://bford.info/cachedir/); without it, it is any file."""

MARKS: Mapping[str, str] = {
    ENVIRONMENT: "a virtual environment",
    "conda-meta/history": "a conda environment",
    CACHE: "a cache",
    MARKER: "results of an earlier grading",
}
"""Files that tell what the folder around them is."""

_MOST_NAMED = 6


def is_ignored(name: str) -> bool:
    """Whether a tool keeps that name for itself; `._x` and `.#x` are left by macOS and Emacs."""
    return name in _NAMES or name.startswith(("._", ".#"))


def told(left_out: Iterable[str]) -> str:
    """One line about what was left out, none if that is nothing; many of one name are told as one."""
    paths = list(left_out)
    often = {name for name, count in Counter(PurePosixPath(p).name for p in paths).items() if count > 2}
    alone = [path for path in paths if PurePosixPath(path).name not in often]
    counted = Counter(name for path in paths if (name := PurePosixPath(path).name) in often)
    words = [quote(path) for path in alone] + [f"{n} times {quote(name)}" for name, n in counted.items()]
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return f"no part of the submission: {', '.join(words[:_MOST_NAMED])}{more}" if words else ""


def is_environment() -> BadSubmission:
    """What to say where the folder around all is an environment, so that nothing of it can be left out."""
    return BadSubmission(
        "the submission's folder is itself a virtual environment",
        file=ENVIRONMENT,
        fix="move what is yours into a folder of its own, or remove bin, include, lib, lib64 and pyvenv.cfg",
    )
