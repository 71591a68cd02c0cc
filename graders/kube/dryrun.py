"""Whether a request only tries, read as the API server reads it: no write shall pass for a trial; pure."""

import re
from collections.abc import Mapping
from urllib.parse import unquote_plus

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def read_query(query: str) -> dict[str, list[str]]:
    """The parameters of a query with all their values, as Go's `url.ParseQuery` reads them.

    A pair with a semicolon or a broken escape is no parameter at all; an empty value is one.
    """
    found: dict[str, list[str]] = {}
    for pair in query.split("&"):
        if not pair or ";" in pair or _BROKEN_ESCAPE.search(pair):
            continue
        key, _, value = pair.partition("=")
        found.setdefault(unquote_plus(key), []).append(unquote_plus(value))
    return found


def is_dry_run(verb: str, query: Mapping[str, list[str]], options: object) -> bool:
    """Whether a request of this verb changes nothing.

    `options` is the body of a deletion, None where it has none: where there is one, the query is not read.
    """
    if verb in ("delete", "deletecollection") and options is not None:
        return isinstance(options, Mapping) and bool(options.get("dryRun"))
    return "dryRun" in query
