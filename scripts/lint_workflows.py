"""Lints workflows and the action: actionlint for what they mean, zizmor for what could be done to them.

Both work without a network once they are there. actionlint's package of PyPI fetches a program while it is
installed, so it is had like every other Go program here: from a release, else built from its pinned module.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from graders.cli.progress import TerminalProgress  # noqa: E402
from graders.tools import Program, Project, Release, Toolset, ensure  # noqa: E402

VERSION = "v1.7.12"
_RELEASE = "{github}/rhysd/actionlint/releases/download/{version}/"
ACTIONLINT = Toolset(
    "actionlint",
    "actionlint",
    Path(__file__).resolve().parent / "actionlint",
    (
        Program(
            "actionlint",
            Project("actionlint", "github.com/rhysd/actionlint", VERSION),
            "cmd/actionlint",
            Release(
                _RELEASE + "actionlint_{bare}_{system}_{arch}.tar.gz",
                _RELEASE + "actionlint_{bare}_checksums.txt",
                member="actionlint",
            ),
        ),
    ),
)


def workflows() -> list[Path]:
    """All files that GitHub would run as workflows, and those that docs offer as such."""
    return sorted([*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("docs/ci/github/*.yml")])


def main() -> int:
    """Print what the two find; gives 0 where they find nothing."""
    with TerminalProgress() as progress:
        actionlint = ensure(ACTIONLINT, progress).path("actionlint")
    # Scripts within are checked where shellcheck is installed, and nowhere else: it is not pinned.
    means = subprocess.run([actionlint, "-shellcheck=", "-pyflakes=", *workflows()], cwd=ROOT, check=False)
    zizmor = Path(sys.executable).with_name("zizmor")
    risks = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--persona=pedantic", "--config", ".github/zizmor.yml",
         "action.yml", *workflows()],
        cwd=ROOT, check=False,
    )  # fmt: skip
    return means.returncode or risks.returncode


if __name__ == "__main__":
    sys.exit(main())
