"""Takes escape sequences out of text that programs print: whole, so that no `[31m` stays behind.

The forms are those of ECMA-48: control sequences (CSI), control strings (OSC, DCS, SOS, PM and APC, ended by
ST or, as xterm allows, by BEL), and the short escapes; each with ESC or with the one character of C1 for it.
"""

import re

_SEQUENCE = re.compile(
    # A sequence that the text ends in, because it was cut there, goes too.
    r"(?:\x1b\[|[\x9b\udc9b])[0-?]*[ -/]*(?:[@-~]|\Z)"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f\udc90\udc98\udc9d-\udc9f])"
    r"[^\x07\x1b\x80-\x9f\udc80-\udc9f]*(?:\x07|\x1b\\|[\x9c\udc9c])"
    r"|\x1b[ -/]*[0-~]"
)


def without_escapes(text: str) -> str:
    """`text` without escape sequences; all other control characters stay."""
    return _SEQUENCE.sub("", text) if not (text.isascii() and text.isprintable()) else text


def printed_text(data: bytes) -> str:
    """What a program printed: as UTF-8, without escape sequences, what cannot be decoded replaced."""
    # A C1 character that stands alone, as a terminal of 8 bits takes it, is no UTF-8 and yet begins one.
    text = without_escapes(data.decode("utf-8", "surrogateescape"))
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
