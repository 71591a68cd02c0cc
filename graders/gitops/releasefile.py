"""The file of a repository in which the digest stands that is released: read, and written in place."""

import re
from dataclasses import dataclass

import yaml

from graders.faults import BadSubmission

_PROPERTIES = re.compile(r"(?:[&!][^ \t\n]*[ \t]+)*")
"""An anchor and a tag before a value: others may refer to it."""


@dataclass(frozen=True)
class ReleaseFile:
    """Where the digest of an image stands: a file, a JSON pointer in it, and how it is written there.

    `value` is `digest`, or `reference` where the whole name of the image is written.
    """

    file: str
    pointer: tuple[str, ...]
    value: str

    def placed(self, raw: bytes, reference: str) -> bytes:
        """The file for an image, whose `reference` ends with its digest; all else stays as it is written.

        Raises:
            BadSubmission: the file has no scalar there; says file and line.
        """
        text, node = self._place(raw)
        start, end = node.start_mark.index, node.end_mark.index
        value = reference.rpartition("@")[2] if self.value == "digest" else reference
        kept = _PROPERTIES.match(text, start, end)
        start = kept.end() if kept is not None else start
        space = " " if start == end and text[start - 1 : start] == ":" else ""
        return f'{text[:start]}{space}"{value}"{text[end:]}'.encode()

    def written(self, raw: bytes) -> str:
        """What the file says at the pointer; raises as `placed` does."""
        _, node = self._place(raw)
        return str(node.value)

    def _place(self, raw: bytes) -> tuple[str, yaml.ScalarNode]:
        try:
            text = raw.decode("utf-8")
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            mark = getattr(error, "problem_mark", None)
            raise BadSubmission(
                f"is not readable YAML or JSON: {str(error)[:200]}", file=self.file,
                line=mark.line + 1 if mark else 1, fix="mend it: the grader writes the digest there",
            ) from error  # fmt: skip
        for step in self.pointer:
            node = self._step(node, step)
        if not isinstance(node, yaml.ScalarNode) or "\n" in text[node.start_mark.index : node.end_mark.index]:
            raise self._no_place(node, "is no text of one line")
        return text, node

    def _step(self, node: yaml.Node | None, step: str) -> yaml.Node:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == step:
                    return value  # type: ignore[no-any-return]
        if isinstance(node, yaml.SequenceNode) and step.isdecimal() and int(step) < len(node.value):
            return node.value[int(step)]  # type: ignore[no-any-return]
        raise self._no_place(node, f"has no {step!r}")

    def _no_place(self, node: yaml.Node | None, problem: str) -> BadSubmission:
        return BadSubmission(
            f"what /{'/'.join(self.pointer)} leads to {problem}",
            file=self.file,
            line=node.start_mark.line + 1 if node is not None else 1,
            fix="correct release.pointer in submission.yaml, or write the value it should lead to",
        )
