"""Pulls images, and soon gives up where no registry answers."""

import subprocess
import threading

from graders.clusters.engine.engine import Engine
from graders.process import kill_group, spawn
from graders.progress import Progress

_ANSWERS_WITHIN_S = 15.0
_PULLED_WITHIN_S = 1200.0


def pull(engine: Engine, reference: str, progress: Progress) -> str:
    """Pull an image; gives what is in the way, or nothing."""
    process = spawn(engine.command("pull", reference), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    answered, ended = threading.Event(), threading.Event()

    def watch() -> None:
        if not answered.wait(_ANSWERS_WITHIN_S) or not ended.wait(_PULLED_WITHIN_S):
            kill_group(process)

    watching = threading.Thread(target=watch, name="watching docker pull", daemon=True)
    watching.start()
    try:
        with progress.task(f"pulling {reference.partition('@')[0]}") as task:
            for count, raw in enumerate(process.stdout, start=1):
                answered.set()
                task.update(done=count, detail=raw.decode("utf-8", "replace").strip())
            errors = process.stderr.read().decode("utf-8", "replace").strip()
            status = process.wait()
    finally:
        answered.set()
        ended.set()
        kill_group(process)
        watching.join()
        process.stdout.close()
        process.stderr.close()
    if status == 0:
        return ""
    return errors.splitlines()[-1] if errors else "its registry does not answer"
