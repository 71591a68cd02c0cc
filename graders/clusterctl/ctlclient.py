"""CLUSTER_CTL: asks the harness for something about the control plane, and says how that ended.

It runs in a sandbox, by itself, with nothing of kubeproof beside it.

    status                   "name state", one a line: of processes running|stopped, of data present|empty
    stop|start|restart NAME… of etcd, kube-apiserver, kube-controller-manager, kube-scheduler, nodes
    replace-data-dir DIR     etcd stopped; DIR below WORK_DIR

Exit status: 0 done, 1 refused, 2 not understood.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tarfile
from pathlib import Path

DOOR = "127.0.0.1:2380"


def main(words: list[str]) -> int:
    """Ask; print what is answered."""
    host, _, port = os.environ.get("CLUSTER_CTL_DOOR", DOOR).rpartition(":")
    replacing = len(words) == 2 and words[0] == "replace-data-dir"
    if replacing and (problem := misplaced(Path(words[1]))):
        sys.stderr.write(f"{problem}\n")
        return 1
    with socket.create_connection((host, int(port))) as door:
        with door.makefile("wb") as out:
            out.write(json.dumps(words).encode() + b"\n")
            if replacing:
                with tarfile.open(fileobj=out, mode="w|") as tar:
                    tar.add(words[1], arcname="data")
        door.shutdown(socket.SHUT_WR)
        with door.makefile("rb") as answer:
            told = json.loads(answer.read() or b'{"code": 1, "said": "the harness hung up\\n"}')
    (sys.stderr if told["code"] else sys.stdout).write(told["said"])
    return int(told["code"])


def misplaced(folder: Path) -> str:
    """Why a folder cannot be etcd's data; empty if it can."""
    work = Path(os.environ.get("WORK_DIR", "/nonexistent")).resolve()
    if not folder.is_dir():
        return f"{folder} is no folder"
    if work not in folder.resolve().parents:
        return f"{folder} is not below {work}, which is WORK_DIR"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
