"""Plain data out of YAML events, without recursion and within limits.

An alias is charged with all that it stands for before it is copied, so a document that would grow
past the limit is refused unexpanded.
"""

import copy
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from graders.documents.document import Document, DocumentLimits, Location
from graders.documents.wording import kind_of, printable, quote
from graders.faults import LocatedError

# libyaml alone: the parser in Python takes other things for JSON, and is slow enough to be attacked.
_LOADER = yaml.CSafeLoader
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"(?P<yes>yes|Yes|YES|true|True|TRUE|on|On|ON)|no|No|NO|false|False|FALSE|off|Off|OFF")
_INT = re.compile(r"[-+]?(0b[01][01_]*|0o?[0-7][0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_STANDARD = "tag:yaml.org,2002:"
_TAGGED: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
_MERGE = object()


@dataclass(frozen=True)
class _Built:
    """A finished value: `nodes` and `height` as if every alias in it were written out."""

    value: Any
    nodes: int = 1
    height: int = 1


@dataclass
class _Frame:
    """A mapping or list that is still open."""

    value: dict[str, Any] | list[Any]
    location: Location
    anchor: str | None
    key: Any = None
    nodes: int = 1
    height: int = 1
    merges: list[dict[str, Any]] = field(default_factory=list)
    merged_on: int = 0

    def next_location(self) -> Location:
        if isinstance(self.value, list):
            return (*self.location, len(self.value))
        return (*self.location, "<<" if self.key is _MERGE else self.key)


def _weight(text: str) -> int:
    """Long text counts for more: ten aliases of a megabyte are a bomb too."""
    return 1 + len(text) // 100


class Composer:
    """Builds documents from parser events, one after another, with the file's limits in force."""

    def __init__(self, file: str, error: type[LocatedError], limits: DocumentLimits) -> None:
        self.file, self.error, self.limits = file, error, limits
        self.nodes = self.aliases = 0

    def compose(self, text: str) -> Iterator[Document]:
        """The documents of `text` that are not empty, in order."""
        found = 0
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                self.stack: list[_Frame] = []
                self.anchors: dict[str, _Built | None] = {}
                self.lines: dict[Location, int] = {}
                self.root: Any = None
            elif isinstance(event, yaml.DocumentEndEvent):
                if self.root is not None:
                    found += 1
                    if found > self.limits.documents:
                        raise self._refuse(
                            event, f"holds over {self.limits.documents} documents", "split the file"
                        )
                    yield Document(self.root, MappingProxyType(self.lines), self.file, self.error)
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close(event)

    def _node(self, event: Any) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.value, dict) and top.key is None:
            top.key = self._key(event, top)
            return
        if isinstance(event, yaml.AliasEvent):
            self._place(self._alias(event), event)
            return
        if isinstance(event, yaml.ScalarEvent):
            built = _Built(self._scalar(event), _weight(event.value))
            self._charge(event, built.nodes)
            if event.anchor:
                self.anchors[event.anchor] = built
            self._place(built, event)
            return
        self._charge(event, 1)
        kind = "map" if isinstance(event, yaml.MappingStartEvent) else "seq"
        if event.tag not in (None, "!", _STANDARD + kind):
            raise self._refuse(event, f"has the tag {quote(event.tag)}", "remove the tag")
        if len(self.stack) >= self.limits.depth:
            raise self._refuse(event, f"is nested over {self.limits.depth} levels deep", "flatten it")
        if event.anchor:
            self.anchors[event.anchor] = None
        location = top.next_location() if top else ()
        self.lines.setdefault(location, event.start_mark.line + 1)
        self.stack.append(_Frame({} if kind == "map" else [], location, event.anchor))

    def _key(self, event: Any, frame: _Frame) -> Any:
        if isinstance(event, yaml.AliasEvent | yaml.CollectionStartEvent):
            raise self._refuse(event, "a key is not plain text", "write the key as a word")
        weight = _weight(event.value)
        self._charge(event, weight)
        frame.nodes += weight
        if event.anchor:
            self.anchors[event.anchor] = _Built(event.value, weight)
        line = event.start_mark.line + 1
        if event.value == "<<" and event.implicit[0] and not event.tag:
            if frame.merged_on:
                raise self._refuse(
                    event, f'a second "<<" (the first is on line {frame.merged_on})', "merge a list"
                )
            frame.merged_on = line
            self.lines[(*frame.location, "<<")] = line
            return _MERGE
        key = self._scalar(event)
        if self.limits.plain_keys and isinstance(key, int | float):
            key = str(key).lower() if isinstance(key, bool) else str(key)
        if not isinstance(key, str):
            fix = f'write it in quotes: "{printable(event.value)}"'
            raise self._refuse(
                event, f"the key {printable(event.value)!r} is not text but {kind_of(key)}", fix
            )
        location = (*frame.location, key)
        if key in frame.value:
            first = self.lines[location]
            fix = "keep one of the two"
            raise self._refuse(event, f"the key {quote(key)} is there twice (first on line {first})", fix)
        self.lines[location] = line
        return key

    def _alias(self, event: yaml.AliasEvent) -> _Built:
        self.aliases += 1
        if self.aliases > self.limits.aliases:
            raise self._refuse(event, f"has over {self.limits.aliases} aliases", "write the values out")
        name = event.anchor or ""
        if name not in self.anchors:
            raise self._refuse(
                event, f"the alias *{printable(name)} has no anchor before it", "define it first"
            )
        target = self.anchors[name]
        if target is None:
            raise self._refuse(event, f"the alias *{printable(name)} contains itself", "write the value out")
        self._charge(event, target.nodes)
        if len(self.stack) + target.height - 1 > self.limits.depth:
            raise self._refuse(event, f"is nested over {self.limits.depth} levels deep", "flatten it")
        return _Built(copy.deepcopy(target.value), target.nodes, target.height)

    def _place(self, built: _Built, event: Any) -> None:
        if not self.stack:
            self.lines.setdefault((), event.start_mark.line + 1)
            self.root = built.value
            return
        top = self.stack[-1]
        top.nodes += built.nodes
        top.height = max(top.height, built.height + 1)
        if isinstance(top.value, list):
            self.lines.setdefault(top.next_location(), event.start_mark.line + 1)
            top.value.append(built.value)
            return
        if top.key is _MERGE:
            merged = built.value if isinstance(built.value, list) else [built.value]
            if not all(isinstance(part, dict) for part in merged):
                raise self._refuse(event, '"<<" merges something that is not a mapping', "merge a mapping")
            top.merges.extend(merged)
        else:
            top.value[top.key] = built.value
        top.key = None

    def _close(self, event: Any) -> None:
        frame = self.stack.pop()
        if isinstance(frame.value, dict):
            for part in frame.merges:
                for key, value in part.items():
                    frame.value.setdefault(key, value)
        built = _Built(frame.value, frame.nodes, frame.height)
        if frame.anchor:
            self.anchors[frame.anchor] = built
        self._place(built, event)

    def _charge(self, event: Any, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > self.limits.nodes:
            problem = f"grows past {self.limits.nodes} values once its aliases are written out"
            raise self._refuse(event, problem, "make it smaller; don't build it out of aliases")

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        tag = event.tag if event.tag != "!" else _STANDARD + "str"
        text: str = event.value
        control = CONTROL.search(text)
        if control:
            problem = f"a value holds the control character U+{ord(control[0]):04X}"
            raise self._refuse(event, problem, "remove it")
        if tag is None:
            return self._plain(event, text) if event.implicit[0] else text
        kind = tag.removeprefix(_STANDARD)
        if tag == _STANDARD + "str":
            return text
        if not tag.startswith(_STANDARD) or kind not in _TAGGED:
            raise self._refuse(event, f"has the tag {quote(tag)}", "remove the tag")
        value = self._plain(event, text)
        if not isinstance(value, _TAGGED[kind]):
            raise self._refuse(event, f"{quote(text)} is tagged {kind} and is none", "remove the tag")
        return value

    def _plain(self, event: yaml.ScalarEvent, text: str) -> Any:
        if _NULL.fullmatch(text):
            return None
        truth = _BOOL.fullmatch(text)
        if truth:
            return truth["yes"] is not None
        if _INT.fullmatch(text):
            return self._whole(event, text)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if math.isfinite(value):
                return value
        elif not _NOT_FINITE.fullmatch(text):
            return text
        raise self._refuse(event, f"{quote(text)} is not a finite number", "write a number, or use quotes")

    def _whole(self, event: yaml.ScalarEvent, text: str) -> int:
        digits = text.lower().replace("_", "").lstrip("+-")
        base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 8 if digits[0] == "0" and len(digits) > 1 else 10)
        value = int(digits, base) if len(digits) < 70 else 1 << 64
        if value >= 1 << 64:
            raise self._refuse(
                event, "a number needs more than 64 bits", "write a smaller number, or use quotes"
            )
        return -value if text[0] == "-" else value

    def _refuse(self, event: Any, problem: str, fix: str) -> LocatedError:
        return self.error(problem, file=self.file, line=event.start_mark.line + 1, fix=fix)
