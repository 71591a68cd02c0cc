"""The kinds of Chaos Mesh as its own CRDs define them: whatever they do not know is an error with a line."""

import gzip
import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

from graders.documents import Document, Location
from graders.documents.wording import dotted, inside, quote, show

API_VERSION = "chaos-mesh.org/v1alpha1"
_CRDS = Path(__file__).with_name("chaos-mesh-crds.json.gz")
_METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


@cache
def specifications() -> dict[str, Any]:
    """The schema of the `spec` of each kind, by its name."""
    found: dict[str, Any] = json.loads(gzip.decompress(_CRDS.read_bytes()))
    return found


def expect_kind(document: Document) -> str:
    """The kind of a custom resource of Chaos Mesh that is as its CRD says.

    Raises:
        BadSubmission: it is none, or has what its CRD does not know; names the line.
    """
    data = document.data
    if not isinstance(data, Mapping):
        raise document.refusal("is no custom resource", fix=f"write one of {API_VERSION}")
    if data.get("apiVersion") != API_VERSION:
        raise document.refusal(
            f"apiVersion is {show(data.get('apiVersion'))}", ("apiVersion",), fix=f"write {API_VERSION}"
        )
    kind, known = data.get("kind"), specifications()
    if kind not in known:
        close = get_close_matches(str(kind), known, n=1)
        raise document.refusal(
            f"there is no kind {quote(kind)}",
            ("kind",),
            fix=f'did you mean "{close[0]}"?' if close else f"use one of {', '.join(known)}",
        )
    schema = {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"apiVersion": {}, "kind": {}, "metadata": _METADATA, "spec": known[kind]},
    }
    expect_schema(document, schema)
    return str(kind)


def expect_schema(document: Document, schema: Mapping[str, Any]) -> None:
    """See that a document is as a structural schema of Kubernetes says, without fields it does not know.

    Raises:
        BadSubmission: it is not; names the first line on which something is wrong.
    """
    found = [
        *_unknown(schema, document.data, ()),
        *map(_misfit, Draft4Validator(schema).iter_errors(document.data)),
    ]
    if found:
        location, problem, fix = min(found, key=lambda each: document.line(each[0]))
        raise document.refusal(problem, location, fix=fix)


def _unknown(schema: Mapping[str, Any], data: Any, location: Location) -> Iterator[tuple[Location, str, str]]:
    if isinstance(data, list):
        for at, item in enumerate(data):
            yield from _unknown(schema.get("items") or {}, item, (*location, at))
    if not isinstance(data, Mapping) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    known = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    for key, value in data.items():
        if key in known:
            yield from _unknown(known[key], value, (*location, key))
        elif isinstance(others, Mapping):
            yield from _unknown(others, value, (*location, key))
        elif known and not others:
            close = get_close_matches(str(key), known, n=1)
            fix = (
                f'did you mean "{close[0]}"?' if close else f"remove it; known are {', '.join(sorted(known))}"
            )
            yield (*location, key), f"unknown field {quote(key)}{inside(list(location))}", fix


def _misfit(error: ValidationError) -> tuple[Location, str, str]:
    location, rule = tuple(error.absolute_path), str(error.validator)
    wanted: Any = error.validator_value
    where, seen = dotted(location), show(error.instance)
    match rule:
        case "required":
            lacking = [key for key in wanted if key not in cast(Mapping[str, Any], error.instance)]
            return location, f"the field {quote(lacking[0])} is missing{inside(list(location))}", "add it"
        case "enum":
            return location, f"{where} is {seen}", f"use one of {', '.join(map(str, wanted))}"
        case "type":
            words = _TYPES.get(str(wanted), str(wanted))
            return location, f"{where} is {seen}, where {words} is expected", f"write {words}"
    return location, f"{where} is {seen}, which its schema does not allow", f"its rule is {rule} {wanted}"
