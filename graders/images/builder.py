"""Builds an image from a learner's Dockerfile: no network, and bounds on everything it takes.

A step of a build is a container of the engine's. All of them carry the label of their build, so they can be
watched from outside: how many processes, how much written, how long. What cannot be bounded beforehand is
measured several times a second, and ends the build when it is too much.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from graders.faults import InfraFault
from graders.images.buildspec import MIB, BuildSpec, BuiltImage, settings_of
from graders.images.engine import BuildEngine
from graders.images.transcript import Transcript
from graders.images.watch import LOOK_EVERY_S, Watch
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Task

_ENDS_WITHIN_S = 20.0
_FULL = ": no space left on device"

_News = dict[str, Any] | BaseException | None
"""A message of the engine's, what went wrong, or the end."""


def build_image(
    engine: BuildEngine, spec: BuildSpec, task: Task, *, clock: Callable[[], float] = time.monotonic
) -> BuiltImage:
    """Build, and say how it ended; what was left over is for the caller to remove.

    Raises:
        InfraFault: the engine failed, or does not build in the way asked of it.
    """
    started = clock()
    transcript = Transcript(spec.limits.printed_bytes)
    watch = Watch(engine, spec, started, clock)
    inbox: queue.Queue[_News] = queue.Queue(1000)
    enough = threading.Event()
    reader = threading.Thread(target=_read, args=(engine, spec, inbox, enough), name="build", daemon=True)
    reader.start()
    message: _News = {}
    while message is not None and not watch.stopped:
        try:
            message = inbox.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            message = {}
        if isinstance(message, BaseException):
            raise message
        if message:
            transcript.take(message)
            task.update(detail=transcript.last_line)
        watch.look(transcript)
    if watch.stopped:
        enough.set()
        _end(engine, spec.label, watch.stopped)
    return _result(engine, spec, transcript, watch.stopped, clock() - started)


def _end(engine: BuildEngine, label: str, why: str) -> None:
    """Kill what runs of a build until nothing does: the engine may be about to start the next step."""

    def nothing_runs() -> None:
        left = [each["Id"] for each in engine.containers(label) if each.get("State") == "running"]
        for each in left:
            engine.kill(each)
        if left:
            raise NotYet(f"{len(left)} of its containers still run")

    try:
        wait_for(nothing_runs, timeout_s=_ENDS_WITHIN_S, interval_s=LOOK_EVERY_S)
    except TimedOut as error:
        raise InfraFault(f"a build was stopped because it {why}, and does not end: {error}") from error


def _read(engine: BuildEngine, spec: BuildSpec, inbox: queue.Queue[_News], enough: threading.Event) -> None:
    """Hand messages on; once `enough` is set, the connection is closed, which ends the build as well."""
    try:
        with contextlib.closing(engine.build(spec.context, settings_of(spec))) as messages:
            for message in messages:
                while not enough.is_set():
                    with contextlib.suppress(queue.Full):
                        inbox.put(message, timeout=LOOK_EVERY_S)
                        break
                if enough.is_set():
                    return
        inbox.put(None)
    except Exception as error:  # (raised again by whoever waits for it)
        inbox.put(error)


def _result(
    engine: BuildEngine, spec: BuildSpec, transcript: Transcript, stopped: str, seconds: float
) -> BuiltImage:
    limits, printed = spec.limits, transcript.text
    if stopped:
        return BuiltImage("", 0, seconds, printed, f"it {stopped}")
    if transcript.error:
        if transcript.exit_code is None and transcript.error.endswith(_FULL):
            raise InfraFault(
                f"a build failed: {transcript.error}", fix="make room where the engine keeps images"
            )
        return BuiltImage("", 0, seconds, printed, transcript.error)
    found = engine.image(spec.tag)
    if found is None:
        raise InfraFault("a build ended without an error and without an image")
    size = int(found["Size"])
    too_large = size - spec.base_bytes > limits.image_bytes
    problem = f"the image adds over {limits.image_bytes // MIB} MiB to its base" if too_large else ""
    return BuiltImage(str(found["Id"]), size, seconds, printed, problem)
