"""Makes pages of README.md, docs/ and the labs' texts in build/site; every link in them has to lead on.

Headings get ids as GitHub gives them, so that a link works there and here.
"""

from __future__ import annotations

import html
import itertools
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
SOURCES = ("README.md", "docs/**/*.md", "labs/*/README.md")

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}
pre,code{{background:#8882;border-radius:.2rem}}pre{{padding:.7rem;overflow:auto}}code{{padding:0 .2rem}}
table{{border-collapse:collapse}}td,th{{border:1px solid #8886;padding:.2rem .5rem;text-align:left}}
:root{{color-scheme:light dark}}</style>
<nav>{nav}</nav><main>
{body}</main></html>
"""


def main() -> int:
    """Write the pages; gives 1 when a link is dead, after naming all that are."""
    pages = {
        path.relative_to(ROOT): _parsed(path) for pattern in SOURCES for path in sorted(ROOT.glob(pattern))
    }
    dead = [f"{page}: {problem}" for page, tokens in pages.items() for problem in _dead(page, tokens, pages)]
    for page, tokens in pages.items():
        _write(page, tokens, list(pages))
    print(*dead, sep="\n", file=sys.stderr, end="\n" if dead else "")
    print(f"{len(pages)} pages in {SITE}")
    return 1 if dead else 0


def _parsed(path: Path) -> list[Token]:
    tokens = MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", _anchor(inline.content))
    return tokens


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def _links(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "link_open":
            yield token
        yield from _links(token.children or ())


def _dead(page: Path, tokens: Sequence[Token], pages: dict[Path, list[Token]]) -> Iterator[str]:
    for link in _links(tokens):
        address = str(link.attrGet("href"))
        parts = urlsplit(address)
        if parts.scheme:
            continue
        target = (ROOT / page.parent / unquote(parts.path)).resolve() if parts.path else ROOT / page
        if not target.exists():
            yield f"there is no {address}"
            continue
        found = pages.get(target.relative_to(ROOT)) if target.is_relative_to(ROOT) else None
        ids = {token.attrGet("id") for token in found or () if token.type == "heading_open"}
        if parts.fragment and found is not None and parts.fragment not in ids:
            yield f"there is no heading for {address}"


def _write(page: Path, tokens: list[Token], pages: Sequence[Path]) -> None:
    for link in _links(tokens):
        parts = urlsplit(str(link.attrGet("href")))
        target = (page.parent / unquote(parts.path)).as_posix()
        if not parts.scheme and parts.path and (ROOT / target).is_file() and not target.endswith(".md"):
            _copy((ROOT / target).resolve())
        if not parts.scheme and any(PurePosixPath(target) == each for each in map(_posix, pages)):
            named = (
                parts.path.removesuffix("README.md") + "index.html" if target.endswith("README.md") else ""
            )
            href = named or parts.path.removesuffix(".md") + ".html"
            link.attrSet("href", href + (f"#{parts.fragment}" if parts.fragment else ""))
    out = SITE / _place(page)
    up = "../" * (len(page.parts) - 1)
    nav = " · ".join(
        f'<a href="{up}{_place(each).as_posix()}">{html.escape(_name(each))}</a>' for each in pages
    )
    headings = (text.content for before, text in itertools.pairwise(tokens) if before.type == "heading_open")
    title = next(headings, str(page))
    body = MarkdownIt("commonmark").enable("table").renderer.render(tokens, MarkdownIt().options, {})
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(_PAGE.format(title=html.escape(title), nav=nav, body=body), encoding="utf-8")


def _copy(file: Path) -> None:
    """Have a file of the repository that a page links to among the pages."""
    out = SITE / file.relative_to(ROOT)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, out)


def _posix(page: Path) -> PurePosixPath:
    return PurePosixPath(page.as_posix())


def _place(page: Path) -> Path:
    return page.with_name("index.html") if page.name == "README.md" else page.with_suffix(".html")


def _name(page: Path) -> str:
    return page.parent.name or "kubeproof" if page.name == "README.md" else page.stem


if __name__ == "__main__":
    sys.exit(main())
