"""How keys and values of somebody's file are shown in a message."""

from typing import Any

from graders.documents.document import Location


def dotted(location: Location) -> str:
    """A location as people write it: `operator.command[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return printable(text.lstrip(".")) or "the document"


def inside(location: list[str | int]) -> str:
    """The words that follow a key to say in what it stands; nothing at the top."""
    return f" in {dotted(tuple(location))}" if location else ""


def kind_of(value: Any) -> str:
    """What sort of value this is, with its article."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a truth value"
    return {int: "a number", float: "a number", list: "a list", dict: "a mapping"}.get(type(value), "text")


def show(value: Any) -> str:
    """A value in few words."""
    if value is None:
        return "empty"
    if isinstance(value, list | dict):
        return kind_of(value)
    return quote(value) if isinstance(value, str) else str(value).lower()


def quote(value: object) -> str:
    """A name or value of somebody else, safe to print."""
    return f'"{printable(str(value))}"'


def printable(text: str, *, longest: int = 80) -> str:
    """`text` fit for a message: short, and nothing in it that a terminal would obey."""
    shown = text if len(text) <= longest else text[: longest - 3] + "..."
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)


def file_name(path: object) -> str:
    """A file's name in full, safe to print."""
    return printable(str(path).encode("utf-8", "backslashreplace").decode(), longest=4096)
