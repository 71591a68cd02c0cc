"""Prints what the action is tried on, as a job's matrix: of each lab what must pass, and what must not."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def rows() -> list[dict[str, str | bool]]:
    """A row for each reference and each starter; a lab that is new is in here by its folders."""
    labs = sorted(path.parent.name for path in ROOT.glob("labs/*/lab.yaml"))
    tried = [(lab, f"solutions/{lab}/reference", True) for lab in labs]
    tried += [(lab, f"labs/{lab}/starter", False) for lab in labs]
    return [
        {"lab": lab, "submission": submission, "passes": passes}
        for lab, submission, passes in tried
        if (ROOT / submission).is_dir()
    ]


if __name__ == "__main__":
    print(json.dumps({"include": rows()}))
