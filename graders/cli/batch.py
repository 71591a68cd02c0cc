"""`kubeproof batch`: a whole class."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from graders.batch.executor import Batch, ExecutorOptions
from graders.batch.gitintake import REF, GitSource, hand_ins_from, is_git
from graders.batch.intake import HandIn, hand_ins_in
from graders.batch.registry import executor_named
from graders.batch.run import BatchRow, How, run_batch
from graders.cli.progress import TerminalProgress, printable
from graders.cli.providers import ProviderOption
from graders.cli.results import results_in
from graders.cli.screen import Screen
from graders.cli.storing import whoever_types
from graders.cohort.final import Final
from graders.cohort.policy import load_policy
from graders.cohort.roster import Roster, load_roster
from graders.course import load_course
from graders.faults import UsageError
from graders.model import Verdict
from graders.ownership import OwnedFolder
from graders.reports.text import points_text
from graders.slots import capacity
from graders.store import open_store

_ONE_AT_A_TIME = "existing"
_PODS = "With --executor kubernetes"
_PODS_AT_ONCE = 10
_IN_PODS = "embedded"


def batch(  # noqa: PLR0913, PLR0917  (a command line has as many options as it has)
    lab: Annotated[str, typer.Argument(help="The lab by its slug, or just its number.")],
    submissions: Annotated[
        str,
        typer.Argument(
            metavar="SUBMISSIONS",
            help="A folder with an entry for each learner (ada/, ada.zip, ada.tar.gz), or the URL of a Git "
            "repository; {learner} in a URL stands for the learner's id.",
        ),
    ],
    roster: Annotated[
        Path | None,
        typer.Option(
            help="The class: a roster.csv. [default: whoever the store knows, else whoever handed in]",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(help="The rules of the course: a course.yaml.", show_default=False)
    ] = None,
    store: Annotated[
        str, typer.Option(help="Where grades are kept: a file, or postgresql://user@host/database.")
    ] = "class.db",
    results: Annotated[
        Path | None,
        typer.Option(
            help="Folder for reports and records. [default: results, beside the store]", show_default=False
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Gradings side by side. [default: what cores and memory allow; 10 pods]"),
    ] = None,
    ref: Annotated[str, typer.Option(help="Of a Git repository, the ref of each learner.")] = REF,
    learner: Annotated[
        list[str] | None, typer.Option(help="Only this learner (may be repeated).", show_default=False)
    ] = None,
    retry_ungraded: Annotated[
        bool, typer.Option("--retry-ungraded", help="Grade again what could not be graded.")
    ] = False,
    provider: ProviderOption = None,
    executor: Annotated[
        str, typer.Option(help="Where gradings run: local, or kubernetes, in pods of a cluster of yours.")
    ] = "local",
    image: Annotated[str, typer.Option(help="In pods: the grader's image.", rich_help_panel=_PODS)] = "",
    objects: Annotated[
        str,
        typer.Option(
            help="In pods: where hand-ins and results meet, s3://bucket/class or file:///folder.",
            rich_help_panel=_PODS,
        ),
    ] = "",
    namespace: Annotated[
        str,
        typer.Option(help="In pods: their namespace, which is there. [kubeproof]", rich_help_panel=_PODS),
    ] = "",
    queue: Annotated[str, typer.Option(help="In pods: the queue of Kueue's.", rich_help_panel=_PODS)] = "",
    secret: Annotated[
        str,
        typer.Option(
            help="In pods: a secret whose keys become their environment, such as AWS_ACCESS_KEY_ID.",
            rich_help_panel=_PODS,
        ),
    ] = "",
    claim: Annotated[
        str,
        typer.Option(
            help="In pods: the claim of the volume that --objects file:///folder is.", rich_help_panel=_PODS
        ),
    ] = "",
    cpu: Annotated[str, typer.Option(help="In pods: what each is promised. [1]", rich_help_panel=_PODS)] = "",
    memory: Annotated[
        str, typer.Option(help="In pods: what each gets at most. [3Gi]", rich_help_panel=_PODS)
    ] = "",
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="In pods: the kubeconfig of their cluster. [$KUBECONFIG, or ~/.kube/config]",
            show_default=False,
            rich_help_panel=_PODS,
        ),
    ] = None,
    context: Annotated[
        str, typer.Option(help="In pods: its context, which is never guessed.", rich_help_panel=_PODS)
    ] = "",
) -> None:
    """Grade a class, and keep every grade in a store. Whatever ends it, the same command goes on.

    A submission that is in the store, graded under the same lab, code and tools, is not graded again.
    Ends with 3 while something could not be graded.

    Example: kubeproof batch 1 submissions/ --roster roster.csv --store class.db

    In a cluster: kubeproof batch 1 subs/ --executor kubernetes --context NAME --image IMAGE --objects URL

    From Git: kubeproof batch 1 https://git.example.org/{learner}/labs.git --ref main --roster roster.csv
    """
    from graders.clusters.registry import default_provider  # noqa: PLC0415  (--help should not wait for it)

    course = load_course()
    found = course.find_lab(lab)
    elsewhere = executor != "local"
    options = ExecutorOptions(
        image=image,
        objects=objects,
        namespace=namespace,
        queue=queue,
        secret=secret,
        claim=claim,
        cpu=cpu,
        memory=memory,
        kubeconfig=kubeconfig,
        context=context,
    )
    chosen = provider or (_IN_PODS if elsewhere else default_provider(found.shown))
    if elsewhere and chosen != _IN_PODS:
        raise UsageError(f"a pod has no cluster by {chosen}", fix="leave --provider out")
    if chosen == _ONE_AT_A_TIME and (jobs or 1) > 1:
        raise UsageError("an existing cluster takes one grading at a time", fix="leave --jobs out")
    at_once = jobs or (1 if chosen == _ONE_AT_A_TIME else _PODS_AT_ONCE if elsewhere else capacity())
    people = load_roster(roster, labs=course.slugs) if roster else None
    rules = load_policy(policy, labs=course.slugs, roster=people) if policy else None
    with (
        executor_named(executor, options) as grades,
        TerminalProgress(Screen(stderr=True)) as progress,
        open_store(store, progress=progress) as opened,
        OwnedFolder("batch", found.id) as owned,
    ):
        known = people or opened.roster()
        if not known.learners:
            known = people = Roster.of_ids(_ids_in(submissions))
        hand_ins = _hand_ins(submissions, ref, _chosen(known, learner), known, owned.path / "fetched")
        opened.take_in(people, rules, author=whoever_types())
        folder = (results or (opened.address.folder or Path()) / "results") / found.id
        with results_in(folder, progress):
            rows = run_batch(
                Batch(
                    lab=found,
                    hand_ins=hand_ins,
                    results=folder,
                    provider=chosen,
                    jobs=at_once,
                    retry_ungraded=retry_ungraded,
                ),
                opened,
                progress,
                grades,
            )
        finals = {one: final for (one, _), final in opened.finals(labs=[found.id]).items()}
    console = Screen()
    console.print(_table(found.id, rows, finals))
    for line in _closing(rows, finals, store):
        console.tell(line)
    raise typer.Exit(3 if any(row.open for row in rows) else 0)


def _ids_in(submissions: str) -> list[str]:
    """Whoever handed something in, where nobody said who is in the class."""
    if is_git(submissions):
        raise UsageError("nobody says whose refs to fetch", fix="give --roster roster.csv")
    return [each.learner_id for each in hand_ins_in(Path(submissions))]


def _chosen(roster: Roster, names: list[str] | None) -> list[str]:
    """The ids of those who were picked, or of all."""
    ids = [one.learner_id for one in roster.learners]
    if unknown := [name for name in names or () if name not in ids]:
        raise UsageError(
            f"nobody in the roster is called {', '.join(map(printable, unknown))}",
            fix="give the learner_id of the roster",
        )
    return [one for one in ids if not names or one in names]


def _hand_ins(submissions: str, ref: str, chosen: list[str], roster: Roster, fetched: Path) -> list[HandIn]:
    if is_git(submissions):
        return hand_ins_from(GitSource(submissions, ref), chosen, fetched)
    everybody = [one.learner_id for one in roster.learners]
    return [one for one in hand_ins_in(Path(submissions), everybody) if one.learner_id in chosen]


def _table(lab: str, rows: list[BatchRow], finals: dict[str, Final]) -> Table:
    table = Table(title=f"{lab}: {len(rows)} hand-ins")
    for name in ("learner", "verdict", "evidence", "result", ""):
        table.add_column(
            name, no_wrap=bool(name), justify="right" if name in ("evidence", "result") else "left"
        )
    for row in rows:
        grade, final = row.grade, finals.get(row.learner_id)
        verdict = grade.verdict.value if grade else "absent"
        told = (
            row.problem.splitlines()[0] if row.problem else row.how.value if row.how is not How.GRADED else ""
        )
        table.add_row(
            Text(row.learner_id),
            Text(verdict, style="" if verdict == Verdict.GRADED.value else "red"),
            points_text(grade.total) if grade and grade.total is not None else "",
            points_text(final.points) if final and final.points is not None else "",
            Text(printable(told)),
        )
    return table


def _closing(rows: list[BatchRow], finals: dict[str, Final], store: str) -> list[str]:
    """What is left to do, and with which command."""
    counts = Counter(row.grade.verdict.value if row.grade else "absent" for row in rows)
    lines = [
        ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "nothing was handed in"
    ]
    here = {row.learner_id for row in rows}
    missing = [one for one, final in finals.items() if final.state.value == "missing" and one not in here]
    if missing:
        lines.append(
            f"nothing from {len(missing)}: {', '.join(missing[:20])}" + (" ..." if missing[20:] else "")
        )
    if any(row.how is How.STALE for row in rows):
        lines.append(f"some were judged by other checks or another rubric: kubeproof rescore {store}")
    if any(row.grade and row.open for row in rows):
        lines.append("some could not be graded: the same command with --retry-ungraded tries again")
    return lines
