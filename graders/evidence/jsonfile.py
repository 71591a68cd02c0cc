"""JSON files that no reader sees half of."""

import json
import os
from pathlib import Path


def write_json(path: Path, data: object) -> None:
    """Write `data` as JSON through a temporary file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
