"""Reads a learner's Dockerfile strictly, and writes the one that is really built.

The engine's own reader is older, newer or laxer than this one, so it never sees what the learner wrote: it
gets one line for each instruction that was understood here. What an image starts from is written by us, as
the id of an image that is there.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.documents.wording import quote
from graders.images.instructions import Instruction, bad, read_instructions

SCRATCH = "scratch"

MOST_STAGES = 8

_PASSED_ON = frozenset(
    {
        "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "RUN", "SHELL", "STOPSIGNAL",
        "USER", "VOLUME", "WORKDIR",
    }
)  # fmt: skip
_LEFT_OUT = frozenset({"LABEL", "MAINTAINER"})
"""They change nothing that is graded, and labels are how we find what belongs to a build."""

_REFUSED = {
    "ADD": "write COPY; an archive is unpacked by a RUN",
    "ONBUILD": "write the instruction itself",
}

_STAGE = re.compile(r"[a-z][a-z0-9_.-]*")
_FROM = re.compile(r"(\S+)(?:\s+[Aa][Ss]\s+(\S+))?")
_COPY_FLAG = re.compile(r"--(from|chown)=([A-Za-z0-9_.:-]+)")
_HEREDOC = re.compile(r"(?:^|\s)\d*<<-?[\"'\\]?[A-Za-z_]")


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile that may be built; `bases` are the offered images it starts from."""

    instructions: tuple[Instruction, ...]
    bases: frozenset[str]

    def rewritten(self, images: Mapping[str, str], label: str) -> str:
        """The same for the engine: each base by what `images` has for it, each stage labelled `label`."""
        lines: list[str] = []
        for each in self.instructions:
            if each.name != "FROM":
                lines.append(f"{each.name} {each.rest}")
                continue
            name, _, stage = each.rest.partition(" AS ")
            lines.append(f"FROM {images.get(name, name)}" + (f" AS {stage}" if stage else ""))
            lines.append(f"LABEL {label}")
        return "\n".join(lines) + "\n"


def read_dockerfile(root: Path, offered: Collection[str]) -> Dockerfile:
    """Read the Dockerfile of the submission at `root`; images may start from those `offered`, and `scratch`.

    Raises:
        BadSubmission: there is none, or it holds what is not allowed; names the line and the fix.
    """
    reader = _DockerfileReader(sorted(offered))
    kept = tuple(found for each in read_instructions(root) if (found := reader.take(each)) is not None)
    if not reader.stages:
        raise bad("has no FROM", None, f"begin with FROM and one of {reader.choice}")
    return Dockerfile(kept, frozenset(reader.bases))


class _DockerfileReader:
    """Takes instructions in order and judges each by what came before."""

    def __init__(self, offered: list[str]) -> None:
        self.offered = offered
        self.choice = ", ".join([*offered, SCRATCH])
        self.stages: list[str] = []
        self.bases: set[str] = set()

    def take(self, each: Instruction) -> Instruction | None:
        """The instruction as the engine gets it; None for one that is left out."""
        if fix := _REFUSED.get(each.name):
            raise bad(f"{each.name} is not allowed here", each.line, fix)
        if each.name == "FROM":
            return self._from(each)
        if each.name not in _PASSED_ON | _LEFT_OUT:
            raise bad(f"{quote(each.name)} is no instruction", each.line, "write one that Docker knows")
        if not self.stages and each.name != "ARG":
            raise bad(f"{each.name} stands before the first FROM", each.line, "begin with FROM")
        if each.name in _LEFT_OUT:
            return None
        if each.name in ("RUN", "COPY"):
            self._check_flags(each)
            if _HEREDOC.search(each.rest):
                fix = "put the text into a file of your submission and COPY it"
                raise bad("texts after << need a builder that is not used here", each.line, fix)
        return each

    def _from(self, each: Instruction) -> Instruction:
        found = _FROM.fullmatch(each.rest)
        if "$" in each.rest or each.rest.startswith("--") or found is None:
            fix = f"write FROM, an image and, if you like, AS and a name; images are {self.choice}"
            raise bad(f"FROM {quote(each.rest)} cannot be taken", each.line, fix)
        image, stage = found[1], (found[2] or "").lower()
        if len(self.stages) >= MOST_STAGES:
            raise bad(f"has over {MOST_STAGES} stages", each.line, "build in fewer")
        if stage and (not _STAGE.fullmatch(stage) or stage in self.stages or stage == SCRATCH):
            raise bad(
                f"{quote(stage)} cannot be the name of a stage", each.line, "use another, such as build"
            )
        earlier = image.lower() if image.lower() in filter(None, self.stages) else ""
        if not earlier and image not in (*self.offered, SCRATCH):
            fix = f"start from one of {self.choice}: nothing is fetched while it is built"
            raise bad(f"FROM {quote(image)} is no image on offer", each.line, fix)
        if not earlier and image != SCRATCH:
            self.bases.add(image)
        self.stages.append(stage)
        return Instruction(each.line, "FROM", (earlier or image) + (f" AS {stage}" if stage else ""))

    def _check_flags(self, each: Instruction) -> None:
        for word in each.rest.split():
            if not word.startswith("--"):
                return
            flag = _COPY_FLAG.fullmatch(word) if each.name == "COPY" else None
            if flag is None:
                fix = (
                    "leave it out"
                    if each.name == "RUN"
                    else "of COPY's options, --from and --chown are known"
                )
                raise bad(f"{each.name} {quote(word)}: that option is not known here", each.line, fix)
            if flag[1] == "from" and not self._is_earlier(flag[2]):
                fix = "copy from a stage that comes before, by its name or number"
                raise bad(f"COPY {quote(word)} names no stage of this file", each.line, fix)

    def _is_earlier(self, stage: str) -> bool:
        before = self.stages[:-1]
        return stage.lower() in filter(None, before) or (stage.isdecimal() and int(stage) < len(before))
