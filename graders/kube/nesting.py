"""JSON that others wrote: nested as deep as they like, and read no deeper than anybody needs.

A parser that recurses falls at about a thousand levels, and an API server passes on more than that: in
objects of a kind without a strict schema, and in the audit log, which holds request bodies as they came.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

MOST_DEPTH = 100
"""How deep a value may be nested; what is deeper is no evidence of anything."""

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def read_json(text: bytes) -> Any:
    """Parse JSON; where it is nested too deep to parse, null stands for what is too deep.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_cut(text))


def shallow(value: Any, depth: int = MOST_DEPTH) -> Any:
    """A JSON value with null for what is nested deeper than `depth`."""
    if isinstance(value, Mapping):
        return {key: shallow(item, depth - 1) for key, item in value.items()} if depth else None
    if isinstance(value, list | tuple):
        return [shallow(item, depth - 1) for item in value] if depth else None
    return value


def _cut(text: bytes) -> bytes:
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKENS.finditer(text):
        match token[0]:
            case b"{" | b"[":
                depth += 1
                if depth == MOST_DEPTH + 1:
                    kept += [text[start : token.start()], b"null"]
            case b"}" | b"]":
                if depth == MOST_DEPTH + 1:
                    start = token.end()
                depth -= 1
    # Text that ends inside of what is too deep is not JSON, and what is kept of it is not either.
    return b"".join([*kept, text[start:] if depth <= MOST_DEPTH else b""])
