"""The control plane: processes that are stopped, and data that are gone."""

import os
import subprocess
from pathlib import Path

from common import Api, control, newest_backup, say, states, until

PARTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def start_what_is_stopped():
    """Start every process that does not run, in their order."""
    stopped = [name for name in PARTS if states()[name] == "stopped"]
    if stopped:
        say("start", ", ".join(stopped))
        control("start", *stopped)


def recover():
    """Bring etcd back from the newest good backup; where its data are there, only start what is stopped."""
    found = states()
    if found["data"] == "present":
        if "stopped" in found.values():
            start_what_is_stopped()
            until(Api().ready, "the API server", 40)
        return
    backup = newest_backup()
    control("stop", "kube-apiserver", "etcd")
    data = Path(os.environ["WORK_DIR"]) / "data"
    say("restore", backup.name)
    subprocess.run(
        [
            "etcdutl", "snapshot", "restore", str(backup / "snapshot.db"), "--data-dir", str(data),
            "--name", os.environ["ETCD_NAME"],
            "--initial-cluster", os.environ["ETCD_INITIAL_CLUSTER"],
            "--initial-advertise-peer-urls", os.environ["ETCD_INITIAL_ADVERTISE_PEER_URLS"],
            # Clients that lived on hold revisions that are not in the backup: theirs must be the past.
            "--bump-revision", "1000000000", "--mark-compacted",
        ],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    control("replace-data-dir", str(data))
    control("start", "etcd", "kube-apiserver")
    until(Api().ready, "the API server", 60)
    # Their caches are of another history.
    control("restart", "kube-controller-manager", "kube-scheduler")
