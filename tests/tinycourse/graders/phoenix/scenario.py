"""etcd is wiped under a running API server, and a learner's script says from which backup it begins again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from graders.clusters.etcdclient import etcd_client, etcd_key
from graders.clusters.provider import ClusterSpec
from graders.controlplane import ControlPlane
from graders.evidence.manifest import TrackResult
from graders.evidence.records import Request
from graders.faults import BadSubmission, InfraFault, UsageError
from graders.model import Submission
from graders.polling import NotYet, wait_for
from graders.sandbox.protocol import MIB, Mount
from graders.sandbox.runtime import ensure_runtime
from graders.sandbox.supervision import SandboxedProcess
from graders.scenario.fleet import LiveCluster
from graders.scenario.learner import ended, sandbox_spec
from graders.scenario.spec import Acting, Recorded, Run

TRACKS = ("loss",)
BACKUPS, RESTORED = "/backups", "/restored"
LOST_REVISIONS = 600
MOST_BYTES = 256 * MIB
MAPS = "/api/v1/namespaces/default/configmaps"


def examine(submission: Submission) -> None:
    """Nothing to see before."""
    del submission


@contextmanager
def prepare(run: Run) -> Iterator[Acting]:
    """Have the programs and the runtime."""
    cluster = ClusterSpec(run.lab, nodes=run.settings.nodes, needs=run.settings.needs)
    with run.fleet.ready(cluster):
        runtime = ensure_runtime(run.progress)

        def act() -> Recorded:
            began = run.recording.clock.now()
            with run.fleet.start(cluster) as (live,):
                control = live.cluster.control
                assert control is not None
                live.watches.follow("configmaps", MAPS)
                backups = run.session.folder / "backups"
                for number, name in enumerate(("first", "second"), start=1):
                    live.kube.create(MAPS, {"metadata": {"name": name}})
                    _back_up(control, backups / str(number))
                live.kube.create(MAPS, {"metadata": {"name": "third"}})
                _move_ahead(control)
                run.recording.mark("loss", "lost")
                control.kill("kube-apiserver")
                control.kill("etcd")
                control.wipe("etcd")
                base = sandbox_spec(
                    run.submission.root, runtime, "restore", run.session.folder / "restore",
                    tuple(run.submission.manifest.command), run.settings.limits,
                )  # fmt: skip
                mounts = (Mount(BACKUPS, backups), Mount(RESTORED, writable=True, size_bytes=MOST_BYTES))
                spec = replace(base, mounts=(*base.mounts, *mounts))
                with ended(run.sandbox, spec, run.recording, 60.0) as (process, status):
                    run.recording.mark("loss", "restored", how=str(status))
                    _come_back(run, live, control, process)
            return Recorded(tracks={"loss": TrackResult("done", began, run.recording.clock.now())})

        yield act


def _move_ahead(control: ControlPlane) -> None:
    """Put writes between the last backup and the loss that are none of the API server's.

    What starts on the restored data writes for itself: with a few revisions lost it would soon be where it
    was.
    """
    key = {"key": etcd_key("/ahead")}
    with etcd_client(control.etcd) as client, ThreadPoolExecutor(4) as pool:
        for answer in pool.map(lambda _: client.post("/kv/put", json=key), range(LOST_REVISIONS)):
            answer.raise_for_status()


def _back_up(control: ControlPlane, folder: Path) -> None:
    control.kill("etcd")
    shutil.copytree(control.etcd.data_folders["etcd"], folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    control.start("etcd")
    control.wait_ready(30.0)


def _come_back(run: Run, live: LiveCluster, control: ControlPlane, process: SandboxedProcess) -> None:
    taken = run.session.folder / "restored"
    try:
        process.collect(RESTORED, taken, most_bytes=MOST_BYTES)
        control.replace_data("etcd", taken)
        control.start("etcd")
        control.start("kube-apiserver")
        control.wait_ready(30.0)
    except (BadSubmission, UsageError, InfraFault) as trouble:
        run.recording.mark("loss", "not-back", why=str(trouble)[:300])
        return
    run.recording.mark("loss", "back")
    answer = live.kube.request("GET", MAPS)
    now = run.recording.clock.now()
    run.recording.writer.add(
        Request(now, "loss", "after", "GET", MAPS, answer.code, None, answer.body, cluster=live.name)
    )
    live.kube.create(MAPS, {"metadata": {"name": "afterwards"}})

    def seen() -> None:
        if "afterwards" not in live.watches.objects("configmaps", "default"):
            raise NotYet("the watch has not told of it yet")

    wait_for(seen, timeout_s=10.0)
