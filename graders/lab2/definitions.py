"""The kinds of an engine, packed: they are a megabyte of JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).with_name("config")


def packed_definitions(name: str) -> list[dict[str, Any]]:
    """The CustomResourceDefinitions in a file of `config/`."""
    found: list[dict[str, Any]] = json.loads(gzip.decompress((CONFIG / name).read_bytes()))
    return found
