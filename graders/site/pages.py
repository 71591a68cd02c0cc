"""Renders pages: autoescaped templates, a style sheet inside each, and a policy that allows nothing else.

No page has a script, loads anything or can send a form; the policy allows the one style sheet by its hash.
Text of learners goes through `text.clean` and autoescaping.
"""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from graders.gradebook.cells import points_cell
from graders.gradebook.feedback import adjustment_text
from graders.reports.text import clean, one_line, points_text
from graders.reports.view import GLYPHS, WORDS
from graders.site.picture import bar, lever

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,60}")


def render(template: str, **values: Any) -> str:
    """A page from one of the templates beside this module."""
    style = _resource("site.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=digest,
            **values,
        )
    )


def page_name(name: str) -> str:
    """A file name for somebody's id: the id where it is plain, else what is plain of it and a digest."""
    if _PLAIN.fullmatch(name):
        return name
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{kept or 'x'}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=jinja2.FunctionLoader(_resource),
    )
    environment.filters |= {
        "adjustment": adjustment_text,
        "clean": clean,
        "exact": points_cell,
        "line": one_line,
        "page": page_name,
        "points": points_text,
        "two": lambda value: "–" if value is None else f"{value:.2f}".replace("-", "−"),
        "percent": lambda share: f"{100 * share:.0f} %",
        "seconds": lambda value: f"{value:.1f} s" if value < 100 else f"{value:.0f} s",
    }
    environment.globals |= {"bar": bar, "lever": lever, "GLYPHS": GLYPHS, "WORDS": WORDS}
    return environment


@cache
def _resource(name: str) -> str:
    return files("graders.site").joinpath(name).read_text(encoding="utf-8")
