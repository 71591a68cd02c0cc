"""In which forms a value can be read in a text; pure."""

import base64
from collections.abc import Iterator


def forms_in(text: bytes, value: bytes) -> Iterator[str]:
    """The forms in which `value` is in `text`: as it is, in base64 with whatever is around it, in hex."""
    if value in text:
        yield "raw"
    if any(each in text for each in _within_base64(value)):
        yield "base64"
    if value.hex().encode() in text.lower():
        yield "hex"


def _within_base64(value: bytes) -> Iterator[bytes]:
    """What base64 makes of a value after 0, 1 or 2 bytes of others, less what depends on its neighbours.

    `echo` ends a value with a line, and a file has more than one.
    """
    for before in range(3):
        whole = base64.b64encode(bytes(before) + value)
        yield whole[-(-8 * before // 6) : 8 * (before + len(value)) // 6]
