"""Two clusters are told what a learner's program pushed for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from graders.clusters.provider import ClusterSpec
from graders.evidence.manifest import TrackResult
from graders.evidence.timeline import NAMESPACE
from graders.model import Submission
from graders.ownership import OwnedFolder
from graders.polling import NotYet, wait_for
from graders.sandbox.runtime import ensure_runtime
from graders.scenario.fleet import LiveCluster
from graders.scenario.learner import ended, sandbox_spec
from graders.scenario.spec import Acting, Recorded, Run
from graders.services.gitserver import GitServer, git_server

TRACKS = ("promotion",)
CLUSTERS = ("east", "west")
REPOSITORY = "fleet.git"
GIT = "git"


def examine(submission: Submission) -> None:
    """Nothing to see before."""
    del submission


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have the programs, the runtime and the Git server."""
    specs = [ClusterSpec(name, nodes=run.settings.nodes, needs=run.settings.needs) for name in CLUSTERS]
    with ExitStack() as ready:
        ready.enter_context(run.fleet.ready(specs[0]))
        runtime = ensure_runtime(run.progress)
        owner = ready.enter_context(OwnedFolder("services", run.lab))
        server = ready.enter_context(git_server(owner, owner.path / "git", [REPOSITORY]))

        def act() -> Recorded:
            with run.fleet.start(*specs) as twins:
                began = run.recording.clock.now()
                for live in twins:
                    run.recording.mark(
                        "promotion", NAMESPACE, namespace="web", part=live.name, cluster=live.name
                    )
                    live.watches.follow("configmaps", "/api/v1/configmaps")
                spec = sandbox_spec(
                    run.submission.root, runtime, "promoter", run.session.folder / "promoter",
                    tuple(run.submission.manifest.command), run.settings.limits,
                )  # fmt: skip
                spec = replace(
                    spec,
                    doors=(GIT,),
                    writable_copy=True,
                    environment=lambda view: {"GIT_URL": f"http://{view.doors[GIT]}/{REPOSITORY}"},
                )
                doors = {GIT: server.address}
                with ended(run.sandbox, spec, run.recording, 60.0, doors) as (_, status):
                    pushed = len(server.commits(REPOSITORY))
                run.recording.mark("promotion", "pushed", commits=pushed, how=str(status))
                for live in twins:
                    _promote(live, server)
                run.recording.mark("promotion", "promoted")
                tracks = {"promotion": TrackResult("done", began, run.recording.clock.now())}
            return Recorded(tracks=tracks)

        yield act


def _promote(live: LiveCluster, server: GitServer) -> None:
    said = (server.content(REPOSITORY, f"{live.name}.txt") or b"").decode("utf-8", "replace").strip()
    live.kube.create("/api/v1/namespaces", {"metadata": {"name": "web"}})
    body = {"metadata": {"name": "greeting"}, "data": {"said": said[:100]}}
    live.kube.create("/api/v1/namespaces/web/configmaps", body)

    def seen() -> None:
        if "greeting" not in live.watches.objects("configmaps", "web"):
            raise NotYet("the watch has not told of it yet")

    wait_for(seen, timeout_s=10.0)
