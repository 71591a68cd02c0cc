"""Text on its way into a spreadsheet, which runs what looks like a formula."""

_RUNS = ("=", "+", "-", "@", "\t", "\r", "\n")
_FULL_WIDTH = ("＝", "＋", "－", "＠")


def harmless(text: str) -> str:
    """`text` so that a spreadsheet shows it and runs nothing: an apostrophe before what could be a formula.

    For cells of text alone; a number, also a negative one, is written as it is. See OWASP, CSV injection.
    """
    bare = text.lstrip(" \u00a0\u3000")
    return f"'{text}" if bare.startswith((*_RUNS, *_FULL_WIDTH)) or text.startswith(_RUNS) else text
