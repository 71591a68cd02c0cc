"""Documents into pydantic models, and what does not fit into errors with a line and a fix."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from graders.documents.document import Document, Location
from graders.documents.wording import dotted, inside, quote, show

Model = TypeVar("Model", bound=BaseModel)

_REPORTED = 5


class Strict(BaseModel):
    """Base of every model that a file is validated with."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def misfit(problem: str, fix: str) -> PydanticCustomError:
    """What a model's validator raises so that `parse` passes on `fix` as well."""
    return PydanticCustomError("misfit", "{problem}", {"problem": problem, "fix": fix})


def parse(document: Document, model: type[Model], *, context: Mapping[str, Any] | None = None) -> Model:
    """Validate a document with a pydantic model; `context` reaches the model's validators.

    Raises:
        LocatedError: of the document's class, naming the lines of up to five faults.
    """
    try:
        return model.model_validate(document.data, context=dict(context or {}))
    except ValidationError as cause:
        faults = sorted(_faults(document, model, cause.errors(include_url=False)))
        (line, problem, fix), *others = faults[:_REPORTED]
        for other_line, other, other_fix in others:
            problem += f"\n{document.file}:{other_line}: {other}"
            fix += f"; line {other_line}: {other_fix}"
        if len(faults) > _REPORTED:
            problem += f"\nand {len(faults) - _REPORTED} more"
        raise document.error(problem, file=document.file, line=line, fix=fix) from cause


def _faults(
    document: Document, model: type[BaseModel], errors: list[ErrorDetails]
) -> Iterator[tuple[int, str, str]]:
    """Each fault as line, problem and fix; a missing key that was only misspelt is not told twice."""
    suggested: set[Location] = set()
    for error in errors:
        location = error["loc"]
        if error["type"] == "extra_forbidden":
            *around, key = location
            close = get_close_matches(str(key), _keys(model, tuple(around)), n=1)
            suggested.update((*around, name) for name in close)
            problem = f"unknown key {quote(key)}{inside(around)}"
            fix = f'remove it, or did you mean "{close[0]}"?' if close else "remove it"
            if not close and (known := _keys(model, tuple(around))):
                fix += f"; known are {', '.join(known)}"
            yield document.line(location), problem, fix
    for error in errors:
        location = error["loc"]
        if error["type"] == "missing" and location not in suggested:
            *around, key = location
            yield (
                document.line(location),
                f"the key {quote(key)} is missing{inside(around)}",
                f'add "{key}:"',
            )
        elif error["type"] not in ("missing", "extra_forbidden"):
            yield (document.line(location), *_misfit(error))


def _misfit(error: ErrorDetails) -> tuple[str, str]:
    where, value, context = dotted(error["loc"]), error["input"], error.get("ctx", {})
    if error["type"] == "misfit":
        return f"{where}: {context['problem']}", context["fix"]
    expected = _EXPECTED.get(error["type"]) or str(context.get("expected", ""))
    if not expected:
        rule = error["msg"][0].lower() + error["msg"][1:]
        return f"{where} is {show(value)}: {rule}", "correct the value"
    fix = f"write {expected}"
    if error["type"] == "string_type" and isinstance(value, int | float):
        fix = "write it in quotes, so that it is text"
    return f"{where} is {show(value)}, where {expected} is expected", fix


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
}


def _keys(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that the mapping at `location` may have, as a file spells them."""
    models = [model]
    for part in location:
        if isinstance(part, int):
            continue
        fields = [of.model_fields for of in models]
        models = [
            found
            for by_name in fields
            for name, info in by_name.items()
            if part in (name, info.alias)
            for found in _models(info.annotation)
        ]
    return [info.alias or name for of in models for name, info in of.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
