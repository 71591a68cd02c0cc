"""Takes the newest backup."""

import shutil
from pathlib import Path

backups = sorted(Path("/backups").iterdir(), key=lambda path: int(path.name))
shutil.copytree(backups[-1] / "member", "/restored/member")
