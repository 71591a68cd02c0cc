"""`kubeproof cluster`: clusters for people, kept by a process of their own until they are told to end."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from graders.cli.progress import TerminalProgress
from graders.cli.providers import NodeImageOption, ProviderOption
from graders.cli.screen import Screen
from graders.clusters.daemon import STAY, ClusterRequest
from graders.clusters.listing import KeptCluster, check_name, kept_cluster, kept_clusters, runs
from graders.clusters.provider import ClusterSpec, NodeSpec
from graders.clusters.registry import default_provider
from graders.clusters.spectext import spec_text
from graders.course import Lab, load_course
from graders.definition import lab_package
from graders.faults import InfraFault, KubeproofError, UsageError
from graders.interrupt import done_before_the_end
from graders.ownership import sweep
from graders.polling import NotYet, TimedOut, wait_for
from graders.progress import Task

SCHEMA = "kubeproof/clusters/v1"
_ENDS_WITHIN_S = 20.0

NameArgument = Annotated[str, typer.Argument(help="What the cluster is called: a DNS label.")]

cluster_app = typer.Typer(
    help="Start a cluster for yourself, look at it, end it.\n\n"
    "It is the cluster that gradings use: a real control plane, with simulated nodes and pods. "
    "A pod runs until its annotation kubeproof.dev/exit-code says how it ends.",
    epilog="Example: kubeproof cluster up && export KUBECONFIG=$(kubeproof cluster kubeconfig) && "
    "kubectl get nodes",
    no_args_is_help=True,
    add_completion=False,
)


@cluster_app.command()
def up(
    name: NameArgument = "default",
    provider: ProviderOption = None,
    node_image: NodeImageOption = "",
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=9,
            help="With --provider kind: this many real worker nodes and no simulated ones, so pods really "
            "run; 0 runs them on the control plane.",
            show_default=False,
        ),
    ] = None,
    lab: Annotated[
        str | None,
        typer.Option(help="Like the clusters of this lab's gradings, by slug or number.", show_default=False),
    ] = None,
) -> None:
    """Start a cluster that stays until `kubeproof cluster down`, and say how to use it.

    Example: kubeproof cluster up demo

    Pods that really run: kubeproof cluster up demo --provider kind --workers 2
    """
    check_name(name)
    found = load_course().find_lab(lab) if lab else None
    provider = provider or default_provider(found.shown if found else ())
    if provider == "existing":
        raise UsageError(
            "a cluster that exists is up already",
            fix="use it: kubeproof grade LAB DIR --provider existing --kubeconfig FILE --context NAME",
        )
    request = ClusterRequest(name, provider, node_image, workers, _spec_text_of(found) if found else "")
    with TerminalProgress(Screen(stderr=True)) as progress, _daemon(request) as (daemon, errors):
        ready = _follow(daemon, errors, progress)
        assert daemon.stdin is not None
        daemon.stdin.write(STAY)
        daemon.stdin.flush()
    argument = "" if name == "default" else f" {name}"
    typer.echo(f"cluster {name} is ready: Kubernetes {ready['version']}, kept by process {daemon.pid}")
    typer.echo(f"  use it:  export KUBECONFIG={shlex.quote(ready['kubeconfig'])}")
    typer.echo(f"  end it:  kubeproof cluster down{argument}")


def _spec_text_of(lab: Lab) -> str:
    """What the clusters of a lab are like."""
    nodes = tuple(NodeSpec(node.name, node.zone, node.resources) for node in lab.nodes)
    package = lab_package(lab.id)
    make = package.load("cluster") if package.definition.cluster else ClusterSpec
    return spec_text(make("kept", nodes))


@cluster_app.command("list")
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print the clusters as JSON.")] = False,
) -> None:
    """Show the clusters that run, with their age, memory and kubeconfig."""
    cards = kept_clusters()
    if as_json:
        rows = [card.as_json() for card in cards]
        typer.echo(json.dumps({"schema": SCHEMA, "clusters": rows}, indent=2))
    elif not cards:
        typer.echo("no cluster is running; start one with `kubeproof cluster up`")
    else:
        Screen(highlight=False).print(_table(cards))


@cluster_app.command()
def kubeconfig(name: NameArgument = "default") -> None:
    """Print the path of a cluster's kubeconfig (cluster-admin).

    Example: export KUBECONFIG=$(kubeproof cluster kubeconfig demo)
    """
    card = kept_cluster(name)
    if not card.kubeconfig:
        raise UsageError(f"cluster {name} is still starting", fix="wait for its `kubeproof cluster up`")
    typer.echo(card.kubeconfig)


@cluster_app.command()
def down(name: NameArgument = "default") -> None:
    """End a cluster; all its processes and files are gone when this returns.

    Example: kubeproof cluster down demo
    """
    card = kept_cluster(name)
    daemon = (card.daemon_pid, card.daemon_start)
    with TerminalProgress(Screen(stderr=True)) as progress, progress.task(f"ending cluster {name}"):
        _signal(daemon, signal.SIGTERM)
        try:
            wait_for(lambda: _gone(daemon), timeout_s=_ENDS_WITHIN_S)
        except TimedOut:
            # Its children die with it by the parent-death signal; its folders are swept below.
            _signal(daemon, signal.SIGKILL)
            wait_for(lambda: _gone(daemon), timeout_s=_ENDS_WITHIN_S)
        wait_for(lambda: _all_gone(card), timeout_s=_ENDS_WITHIN_S)
        sweep()
    typer.echo(f"cluster {name} is gone")


@cluster_app.command("sweep")
def sweep_dead() -> None:
    """Remove what dead runs left: folders without an owner, and what is recorded in them.

    That is processes, and what a run with --provider existing made in a cluster of yours.

    Every grading and every `cluster up` does this too, so it is seldom needed.
    """
    stayed: list[str] = []
    for folder in (removed := sweep(stayed.append)):
        typer.echo(f"removed {folder}")
    for line in stayed:
        typer.echo(f"could not remove {line}", err=True)
    typer.echo(f"{len(removed)} left over" if removed or stayed else "nothing was left over")
    raise typer.Exit(3 if stayed else 0)


@contextlib.contextmanager
def _daemon(request: ClusterRequest) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A daemon and its stderr; unless the block ends well the daemon is gone, with all it started."""
    with tempfile.TemporaryFile() as errors:
        # Without -P Python would import from the folder the user happens to stand in.
        daemon = subprocess.Popen(
            [sys.executable, "-P", "-m", "graders.clusters.daemon", *request.words()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        with done_before_the_end(lambda: _put_down(daemon)):
            try:
                yield daemon, errors
            except BaseException:
                _put_down(daemon)
                raise
            finally:
                _close_pipes(daemon)


def _put_down(daemon: subprocess.Popen[bytes]) -> None:
    """The end of its stdin tells a daemon to clean up and go."""
    assert daemon.stdin is not None
    with contextlib.suppress(OSError):
        daemon.stdin.close()
    try:
        daemon.wait(_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait(_ENDS_WITHIN_S)
    sweep()


def _close_pipes(daemon: subprocess.Popen[bytes]) -> None:
    for pipe in (daemon.stdin, daemon.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _follow(daemon: subprocess.Popen[bytes], errors: IO[bytes], progress: TerminalProgress) -> dict[str, Any]:
    """Show what the daemon tells until it is ready; gives its last event.

    Raises:
        UsageError, InfraFault: what the daemon failed with, in its own words.
    """
    assert daemon.stdout is not None
    with contextlib.ExitStack() as shown:
        tasks: dict[int, tuple[Task, contextlib.ExitStack]] = {}
        for line in daemon.stdout:
            event: dict[str, Any] = json.loads(line)
            match event["event"]:
                case "say":
                    progress.say(event["text"])
                case "task":
                    stack = shown.enter_context(contextlib.ExitStack())
                    task = stack.enter_context(progress.task(event["text"], event["total"]))
                    tasks[event["task"]] = (task, stack)
                case "update":
                    task, _ = tasks[event["task"]]
                    task.update(done=event["done"], total=event["total"], detail=event["detail"])
                case "end" if event["ok"]:
                    tasks[event["task"]][1].close()
                case "ready":
                    return event
                case "failed":
                    raise _failure(event)
    errors.seek(0)
    raise InfraFault(
        f"the daemon ended with code {daemon.wait()} before the cluster was ready:\n"
        + errors.read()[-2000:].decode("utf-8", "replace"),
        fix="`kubeproof doctor` looks at the machine",
    )


def _failure(event: dict[str, Any]) -> KubeproofError:
    """The daemon's error; its text holds the fix already."""
    return InfraFault(event["text"]) if event["code"] == 3 else UsageError(event["text"])


def _signal(process: tuple[int, str], number: int) -> None:
    """Signal a process unless its pid is somebody else's by now."""
    if runs(*process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process[0], number)


def _gone(process: tuple[int, str]) -> None:
    if runs(*process):
        raise NotYet(f"process {process[0]} still runs")


def _all_gone(card: KeptCluster) -> None:
    for process in card.processes.values():
        _gone(process)


def _table(cards: list[KeptCluster]) -> Table:
    table = Table("name", "state", "Kubernetes", "age", "daemon", "memory")
    # A path that is cut short is no use: it folds.
    table.add_column("kubeconfig", overflow="fold")
    for card in cards:
        table.add_row(
            card.name,
            escape(card.state),
            f"{card.version} ({card.provider})" if card.version else card.provider,
            _age(card.age_s),
            str(card.daemon_pid),
            f"{card.memory_bytes / 1e6:.0f} MB",
            escape(card.kubeconfig),
        )
    return table


def _age(seconds: float) -> str:
    """Two units are enough to tell clusters apart: `3 h 12 min`."""
    minutes, whole = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole} s" if minutes else f"{whole} s"
