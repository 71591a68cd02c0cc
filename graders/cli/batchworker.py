"""`kubeproof batch-worker`: one worker of a batch on other machines."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from graders.cli.progress import TerminalProgress
from graders.cli.screen import Screen


def batch_worker(
    objects: Annotated[str, typer.Option(help="The place for objects of the batch.")],
    plan: Annotated[str, typer.Option(help="The name of its plan.")],
) -> None:
    """Grade what the batch's plan has for the index in JOB_COMPLETION_INDEX. `kubeproof batch` starts it.

    Ends with 0 when what came of it is in the place: graded or rejected. With 3, another should try; with 2
    that is of no use; with 4 this kubeproof would come to other grades than the batch's.
    """
    from graders.batch.objects import ObjectPlace  # noqa: PLC0415  (--help should not wait for it)
    from graders.batch.worker import OTHER_CODE, OtherCode, index_from, work_on  # noqa: PLC0415
    from graders.course import load_course  # noqa: PLC0415

    index = index_from(os.environ)
    console = Screen(stderr=True)
    with (
        TerminalProgress(console) as progress,
        TemporaryDirectory(prefix="kubeproof-worker-", ignore_cleanup_errors=True) as scratch,
    ):
        try:
            marker = work_on(ObjectPlace(objects), plan, index, load_course(), Path(scratch), progress)
        except OtherCode as error:
            console.tell(f"kubeproof: {error}")
            raise typer.Exit(OTHER_CODE) from error
    raise typer.Exit(0 if marker.done else 3)
