"""How a build is bounded and how it ends, against an engine that plays what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from graders.faults import InfraFault
from graders.images.builder import build_image
from graders.images.buildspec import BuildLimits, BuildSpec, BuiltImage, settings_of
from graders.progress import Silent

MIB = 1024 * 1024


class PlayedEngine:
    """Yields `messages`; with `steps` the last of them runs until it is killed."""

    def __init__(
        self, *messages: dict[str, Any], size_bytes: int = 10, runs: bool = False, written: int = 0
    ) -> None:
        self.messages = messages
        self.size_bytes = size_bytes
        self.written = written
        self.limited: list[tuple[str, int]] = []
        self.killed: list[str] = []
        self.given: Mapping[str, str] = {}
        self.refuses_limits = ""
        self._runs = threading.Event()
        self._closed = False
        if not runs:
            self._runs.set()

    def build(self, context: Path, settings: Mapping[str, str]) -> Generator[dict[str, Any]]:
        self.given = settings
        try:
            yield from self.messages
            self._runs.wait(30)
        finally:
            self._closed = True

    def image(self, reference: str) -> dict[str, Any] | None:
        return {"Id": "sha256:1", "Size": self.size_bytes} if self.size_bytes else None

    def images(self, label: str) -> list[dict[str, Any]]:
        return [
            {"Id": "a", "ParentId": "", "Size": self.size_bytes},
            {"Id": "b", "ParentId": "a", "Size": self.size_bytes},
        ]

    def containers(self, label: str, *, sizes: bool = False) -> list[dict[str, Any]]:
        if self._runs.is_set():
            return []
        return [{"Id": "step", "State": "running", **({"SizeRw": self.written} if sizes else {})}]

    def limit_processes(self, container: str, most: int) -> str:
        self.limited.append((container, most))
        return self.refuses_limits

    def kill(self, container: str) -> None:
        self.killed.append(container)
        self._runs.set()


def build(engine: PlayedEngine, **limits: float) -> BuiltImage:
    spec = BuildSpec(Path("c.tar"), "tag", "l=1", 100, BuildLimits(**limits))  # type: ignore[arg-type]
    with Silent().task("building") as task:
        return build_image(engine, spec, task)


def test_a_build_that_succeeds_gives_its_image_and_what_it_printed() -> None:
    built = build(
        PlayedEngine({"stream": "Step 1\n"}, {"stream": "\x1b[91mok\x1b[0m\n"}, {"aux": {"ID": "x"}})
    )
    assert (built.id, built.problem, built.size_bytes) == ("sha256:1", "", 10)
    assert built.printed == "Step 1\nok\n"


def test_a_step_that_fails_is_the_learners() -> None:
    error = {"error": "The command 'x' returned a non-zero code: 3", "errorDetail": {"code": 3}}
    built = build(PlayedEngine({"stream": "no such file\n"}, error))
    assert built.problem == "The command 'x' returned a non-zero code: 3"
    assert "no such file" in built.printed


def test_a_disk_that_is_full_is_not_the_learners_and_a_step_that_says_so_is() -> None:
    full = {"error": "write /var/lib/x: no space left on device", "errorDetail": {"message": "x"}}
    with pytest.raises(
        InfraFault, match=r"a build failed: write .* no space left on device\n  fix: make room"
    ):
        build(PlayedEngine(full))
    said = {"error": "The command 'echo : no space left on device", "errorDetail": {"code": 1}}
    assert build(PlayedEngine(said)).problem.endswith("no space left on device")


@pytest.mark.parametrize(
    ("engine", "limits", "problem"),
    [
        (PlayedEngine(runs=True), {"wall_s": 0.5}, "it took longer than 0.5 s"),
        (PlayedEngine(runs=True, written=3 * MIB), {"disk_bytes": 2 * MIB}, "it wrote over 2 MiB"),
        (PlayedEngine(runs=True, size_bytes=3 * MIB), {"disk_bytes": 2 * MIB}, "it wrote over 2 MiB"),
        (
            PlayedEngine(*[{"stream": "y\n" * 1000}] * 3000, runs=True),
            {"printed_bytes": 1 * MIB},
            "it printed over 1 MiB",
        ),
    ],
)
def test_a_build_that_takes_too_much_is_ended(
    engine: PlayedEngine, limits: dict[str, float], problem: str
) -> None:
    built = build(engine, **limits)
    assert (built.problem, built.id) == (problem, "")
    assert engine.killed == ["step"]


def test_an_image_that_is_too_large_is_none() -> None:
    built = build(PlayedEngine(size_bytes=2 * MIB), image_bytes=1 * MIB)
    assert built.problem == "the image adds over 1 MiB to its base"


def test_the_processes_of_each_step_are_bounded_once() -> None:
    engine = PlayedEngine(runs=True)
    build(engine, pids=77, wall_s=1.5)
    assert engine.limited == [("step", 77)]


def test_an_engine_that_breaks_off_is_no_fault_of_a_learners() -> None:
    class Broken(PlayedEngine):
        def build(self, context: Path, settings: Mapping[str, str]) -> Generator[dict[str, Any]]:
            raise InfraFault("the engine is gone")
            yield {}

    with pytest.raises(InfraFault, match="the engine is gone"):
        build(Broken())


def test_a_build_without_an_error_and_without_an_image_is_the_engines_trouble() -> None:
    with pytest.raises(InfraFault, match="without an error and without an image"):
        build(PlayedEngine(size_bytes=0))


def test_the_engine_is_told_all_the_bounds_it_knows_and_to_use_no_network() -> None:
    told = settings_of(BuildSpec(Path("c"), "tag", "l=1", 0, BuildLimits(memory_bytes=5, cpus=1.5)))
    assert (told["networkmode"], told["nocache"], told["forcerm"]) == ("none", "1", "1")
    assert (told["memory"], told["memswap"], told["cpuquota"]) == ("5", "5", "150000")
    assert {each["Name"] for each in json.loads(told["ulimits"])} == {"fsize", "core", "nofile"}
    assert not {"buildargs", "remote", "pull", "cachefrom", "extrahosts"} & told.keys()


def test_a_flood_is_kept_by_its_beginning_and_its_end() -> None:
    lines = [{"stream": f"line {number}\n"} for number in range(2000)]
    printed = build(PlayedEngine(*lines)).printed
    assert printed.startswith("line 0\nline 1\n")
    assert printed.endswith("line 1998\nline 1999\n")
    assert "[1400 lines left out]" in printed
    assert len(printed) < 10_000
