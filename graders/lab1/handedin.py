"""What of a submission decides whether Python finds its modules, for the record."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

_READ: Mapping[str, str] = {
    "requirements.txt": "requirements.txt",
    "pyproject.toml": "[project] dependencies in pyproject.toml",
}
"""Files that packages are installed from, the first that is there; and what of them is read."""

_UNREAD = (
    "Pipfile", "Pipfile.lock", "poetry.lock", "uv.lock", "pdm.lock", "setup.py",
    "setup.cfg", "environment.yml", "requirements.in",
)  # fmt: skip
"""Files that name packages, too, and that the grader does not install from."""

_MOST_MODULES = 200


def handed_in(root: Path, *, installed: bool) -> dict[str, Any]:
    """What the submission at `root` brings; `installed` says whether the grader reads its requirements."""
    return {
        "read": next((what for name, what in _READ.items() if installed and (root / name).is_file()), ""),
        "unread": [name for name in _UNREAD if (root / name).is_file()],
        "modules": sorted(islice(_modules(root), _MOST_MODULES)),
        "src": sorted(islice(_modules(root / "src"), _MOST_MODULES)),
    }


def _modules(folder: Path) -> Iterator[str]:
    """The names that `import` finds in `folder`."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.suffix == ".py" and path.stem.isidentifier():
            yield path.stem
        elif path.is_dir() and path.name.isidentifier() and next(path.glob("*.py"), None) is not None:
            yield path.name
