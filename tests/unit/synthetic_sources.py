"""Programs that a class might hand in: each of its own making, some copied, all from one starter."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from graders.site.model import ClassModel, LabSources, SlowWait
from tests.unit.synthetic_class import large_class

STARTER = "\n".join(
    [
        "import logging",
        "class Operator:",
        "    def __init__(self, client, namespace):",
        "        self.client = client",
        "        self.namespace = namespace",
        "    def run(self):",
        "        for event in self.client.watch(self.namespace, timeout=30):",
        "            try:",
        "                self.handle(event['type'], event['object'])",
        "            except KeyError as error:",
        "                logging.warning('no such key: %s', error)",
        "            finally:",
        "                self.client.done(event)",
        "",
    ]
)


def program(seed: int, functions: int = 14) -> str:
    """A program that no other seed gives; without meaning, but with the tokens of Python."""
    draw = random.Random(seed)
    lines = ["# mine"]
    for i in range(functions):
        lines.append(f"def step_{i}(job, pods):")
        lines += [f"    {statement}" for _ in range(8) for statement in _statement(draw)]
        lines.append("    return job")
    return "\n".join(lines) + "\n"


def _statement(draw: random.Random) -> list[str]:
    left, right = (
        draw.choice(["job", "pods", "job['spec']", "len(pods)"]),
        draw.choice(["1", "'x'", "job.name"]),
    )
    sign = draw.choice(["==", "!=", "<", ">=", "in", "is not"])
    return draw.choice(
        [
            [f"if {left} {sign} {right}:", f"    job = {right} + {left}"],
            [f"for pod in {left}:", f"    pods.append(pod.{draw.choice(['a', 'b(pod)', 'c[0]'])})"],
            [f"job[{right}] = {left} {draw.choice('+-*/%')} {draw.choice(['2', 'f(job)', '(1, 2)'])}"],
            [f"while {left} {sign} {right} and not pods:", "    pods = sorted(pods, key=lambda p: p.name)"],
            [f"assert {left}, {right}", f"del job[{right}]"],
            [f"x = [{left} for y in {right} if y {sign} {left}]"],
            [f"with open({right}) as file:", "    yield file.read()" if draw.random() < 0.5 else "    raise"],
        ]
    )


def disguised(text: str) -> str:
    """The same program with other names, comments, numbers and layout."""
    text = re.sub(r"\b(job|pods|pod|file|x|y|name)\b", lambda found: f"my_{found[0]}", text)
    text = re.sub(r"step_(\d+)", r"phase_\1", text).replace("'x'", "'another text'")
    return "\n".join(
        line.replace("    ", "\t") + "  # I wrote this" * (line[:3] == "def") for line in text.split("\n")
    )


def sources(size: int) -> LabSources:
    """Learner 5 copied from 3 in disguise, 9 half of 8; the rest wrote for themselves."""
    texts = {i: program(i) for i in range(size)}
    texts[5] = disguised(texts[3])
    texts[9] = texts[8][: len(texts[8]) // 2] + texts[9][len(texts[9]) // 2 :]
    handed_in: Mapping[str, Mapping[str, str]] = {
        f"learner-{i:03}": {"operator/main.py": STARTER + text, "deploy/crd.yaml": "a: b\n" * 50}
        for i, text in texts.items()
    }
    return LabSources(handed_in, {"starter/main.py": STARTER})


def whole_class(size: int = 300) -> ClassModel:
    """A class with everything that a site can show."""
    draw = random.Random(1)
    book = large_class(size)
    waits = tuple(
        SlowWait(one.learner_id, track, what.format(draw.randint(0, 9)), draw.lognormvariate(1.2, 0.7))
        for one in book.learners
        for track, what in (
            ("crash-points", "pod job-{}-0 is gone"),
            ("deadlines", "job-{} to be Failed"),
            ("", "etcd"),
        )
    )
    return ClassModel(book, {"lab1": waits}, {"lab1": sources(size)}, lambda lab, who: f"<p>{lab} {who}</p>")
