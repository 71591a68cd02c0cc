"""Tells each cluster its own name."""

import os
import subprocess
from pathlib import Path

IDENTITY = ["-c", "user.name=learner", "-c", "user.email=learner@example.com"]


def git(*arguments: str) -> None:
    """Run git in the clone."""
    subprocess.run(["git", *IDENTITY, "-C", "fleet", *arguments], check=True)


subprocess.run(["git", "clone", os.environ["GIT_URL"], "fleet"], check=True)
Path("fleet/east.txt").write_text("east\n")
Path("fleet/west.txt").write_text("west\n")
git("add", "east.txt", "west.txt")
git("commit", "--message", "Tell each cluster its name")
git("push", "origin", "HEAD:main")
