"""`kubeproof grade` and `kubeproof judge`."""

import threading
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from graders.cli.laboptions import check_lab_options
from graders.cli.progress import TerminalProgress
from graders.cli.providers import (
    ContextOption,
    KubeconfigOption,
    NodeImageOption,
    ProviderOption,
    WorkersOption,
)
from graders.cli.results import results_in
from graders.cli.screen import Screen, print_raw
from graders.course import Lab, load_course
from graders.definition import lab_package
from graders.evidence.bundle import Bundle
from graders.faults import UsageError
from graders.model import Cluster, GradeReport, Verdict
from graders.outfolder import OutFolder
from graders.reports import REPORTS, critical_path, print_report, write_reports
from graders.surroundings import typed

LabArgument = Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="Run and judge only this check (repeat it, or separate with commas)."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for report.json, report.html, junit.xml and bundle/: a new one, or one with nothing but "
        "earlier results in it. [default: out/LAB]",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print report.json instead of the table.")]
FailUnderOption = Annotated[
    str | None, typer.Option(help="Exit with 1 when the score is below this many per cent.")
]


def grade(  # noqa: PLR0913, PLR0917  (a command line has as many options as it has)
    lab: LabArgument,
    submission: Annotated[Path, typer.Argument(help="Folder or archive with a submission.yaml.")],
    out: OutOption = None,
    only: OnlyOption = None,
    as_json: JsonOption = False,
    keep: Annotated[
        bool, typer.Option(help="Keep the cluster until Enter or Ctrl-C, and say how to reach it.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Seed of names and walks; a report tells its own.")] = None,
    fail_under: FailUnderOption = None,
    provider: ProviderOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = "",
    node_image: NodeImageOption = "",
    workers: WorkersOption = 2,
    sandbox: Annotated[
        str, typer.Option(help="What confines learner code: bubblewrap, or none for your own.")
    ] = "bubblewrap",
    learner: Annotated[str, typer.Option(help="Whose submission it is, for the report.")] = "",
    lab_options: Mapping[str, int] | None = None,
) -> None:
    """Grade a submission: start a cluster, run it, witness, judge, report.

    What OUT holds of an earlier grading goes when the new record is whole. If this one is rejected or not
    graded, OUT tells so, and the last graded record and its reports are in OUT/earlier until one is again.

    Example: kubeproof grade 1 my-operator --only retries --keep

    One disturbance alone: kubeproof grade 1 my-operator --only crash-points --at 7 --keep
    """
    from graders.clusters.provider import ProviderOptions  # noqa: PLC0415  (--help should not wait for it)
    from graders.clusters.registry import default_provider  # noqa: PLC0415
    from graders.grading import GradeRequest  # noqa: PLC0415  (--help should not wait for it)
    from graders.grading import grade as grade_submission  # noqa: PLC0415

    found = load_course().find_lab(lab)
    least = _percent(fail_under)
    names, chosen = _names(only, found), provider or default_provider(found.shown)
    check_lab_options(lab_package(found.id).definition, lab_options or {}, names)
    folder = out or Path("out") / found.id
    console = Screen(stderr=True)
    with TerminalProgress(console) as progress, results_in(folder, progress):
        request = GradeRequest(
            lab=found,
            submission=submission,
            out=folder,
            provider=chosen,
            options=ProviderOptions(kubeconfig, context, node_image, workers),
            sandbox=sandbox,
            only=names,
            seed=seed,
            lab_options=lab_options or {},
            learner_id=typed(learner),
            hold=(lambda cluster: _hold(cluster, progress)) if keep else None,
        )
        report = grade_submission(request, progress)
        recorded, files = _written(report, folder)
    _finish(report, recorded, files, as_json=as_json, least=least)


def judge(
    bundle: Annotated[Path, typer.Argument(help="The folder bundle/ of an earlier grading.")],
    out: OutOption = None,
    only: OnlyOption = None,
    as_json: JsonOption = False,
    fail_under: FailUnderOption = None,
) -> None:
    """Judge a recorded bundle again, with the checks and the rubric of today; no cluster is started.

    The bundle is only read. The reports replace earlier ones, by default those beside the bundle.

    Example: kubeproof judge out/LAB/bundle
    """
    from graders.judgement import judge_bundle  # noqa: PLC0415

    least = _percent(fail_under)
    found = load_course().find_lab(Bundle(bundle).manifest.lab)
    folder = out or bundle.parent
    OutFolder(folder, REPORTS).check(judged=bundle)
    report = judge_bundle(found, bundle, only=_names(only, found))
    with TerminalProgress(Screen(stderr=True)) as progress, results_in(folder, progress):
        recorded, files = _written(report, folder, bundle)
    _finish(report, recorded, files, as_json=as_json, least=least)


def _written(
    report: GradeReport, out: Path, bundle: Path | None = None
) -> tuple[Bundle | None, dict[str, Path]]:
    """Write the files of the report; gives the record it stands on, and where they are."""
    folder = bundle or out / "bundle"
    recorded = Bundle(folder) if (folder / "manifest.json").is_file() else None
    place = OutFolder(out, REPORTS)
    place.begin()
    files = write_reports(report, recorded, out)
    place.settle(graded=bundle is None and report.verdict is Verdict.GRADED)
    if place.earlier.is_dir():
        Screen(stderr=True).tell(f"the last graded record and its reports are in {place.earlier}")
    return recorded, files


def _finish(
    report: GradeReport,
    recorded: Bundle | None,
    files: dict[str, Path],
    *,
    as_json: bool,
    least: Decimal | None,
) -> None:
    if as_json:
        print_raw(files["json"].read_text(encoding="utf-8"))
    else:
        print_report(report, Screen(), files, critical_path(report, recorded))
    raise typer.Exit(exit_code(report, least))


def exit_code(report: GradeReport, least: Decimal | None) -> int:
    """0 graded, 1 graded below `least` per cent, 2 rejected, 3 not graded."""
    if report.verdict is Verdict.REJECTED:
        return 2
    percent = report.score.percent if report.score is not None else None
    if report.verdict is Verdict.UNGRADED or report.score is None or report.score.total is None:
        return 3
    return 1 if least is not None and (percent is None or percent < least) else 0


def _names(only: list[str] | None, lab: Lab) -> tuple[str, ...]:
    names = tuple(name.strip() for item in only or () for name in item.split(",") if name.strip())
    known = {check.id for check in lab.checks}
    for name in names:
        if name not in known:
            raise UsageError(
                f"lab {lab.id} has no check {name!r}", fix=f"there are: {', '.join(sorted(known))}"
            )
    return names


def _percent(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= 100:
        raise UsageError(f"--fail-under {text} is no percentage", fix="use a number from 0 to 100")
    return value


def _hold(cluster: Cluster, progress: TerminalProgress) -> None:
    """Wait for Enter; Ctrl-C ends everything as it always does."""
    progress.say(
        f"the cluster is kept: export KUBECONFIG={cluster.kubeconfig}\n"
        "press Enter to remove it and see the report"
    )
    done = threading.Event()

    def read() -> None:
        try:
            input()
        except EOFError:
            # No terminal to press Enter on: stay until a signal.
            return
        done.set()

    threading.Thread(target=read, name="enter", daemon=True).start()
    done.wait()
