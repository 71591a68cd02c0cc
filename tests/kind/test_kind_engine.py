"""An engine of ours leaves the machine as it was, after its end and after a kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts an engine")

INSIDE = """\
set -e
# A network, and a /run, in which no other engine can be met.
mount -t tmpfs none /run
ip link set lo up
snap() {
    (iptables -S
     iptables -t nat -S
     ip -brief link
     sysctl net.ipv4.ip_forward
     find /sys/fs/cgroup -maxdepth 2 -name "kubeproof-$1"
     find "$KUBEPROOF_STATE" -maxdepth 1 -name 'engine-*') | sed 's/ \\[.*//' | sort
}
"$PYTHON" -c 'import graders.paths; graders.paths.state_folder()'
snap >before
"$PYTHON" program.py $1 >said || [ "$1" = killed ]
if [ "$1" = killed ]; then
    snap >between
    if cmp -s before between; then exit 9; fi
    "$PYTHON" -c 'from graders.ownership import sweep; print(sweep())' >swept
fi
snap >after
diff before after
"""

PROGRAM = """\
import os, subprocess, sys
from graders.clusters.engine.dockerd import running_engine
from graders.progress import Silent

with running_engine(Silent()) as host, running_engine(Silent()) as same:
    assert host == same and host.startswith("unix://" + os.environ["KUBEPROOF_STATE"]), (host, same)
    subprocess.run(["docker", "--host", host, "network", "create", "some"], check=True)
    # A container whose port is published has rules of its own, and it still runs when the engine ends.
    files = "/bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*')"
    subprocess.run(f"tar -ch {files} | docker --host {host} import - sleeper", shell=True, check=True)
    command = "run --detach --network some --publish 127.0.0.1::80 sleeper /bin/sleep 600"
    subprocess.run(["docker", "--host", host, *command.split()], check=True)
    saved = subprocess.run(["iptables-save"], capture_output=True, check=True).stdout
    assert b"DOCKER-USER" in saved
    assert b"--dport 80 -j MASQUERADE" in saved
    assert subprocess.run(["sysctl", "-n", "net.ipv4.ip_forward"], capture_output=True).stdout == b"1\\n"
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Sockets have short names."""
    with tempfile.TemporaryDirectory(prefix="kp-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("end", ["ended", "killed"])
def test_the_machine_is_as_it_was(tmp_path: Path, short_folder: Path, end: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DOCKER_HOST")}
    environment |= {"KUBEPROOF_STATE": str(short_folder), "PYTHON": sys.executable}
    run = subprocess.run(
        ["unshare", "--net", "--mount", "--propagation=private", "bash", "-c", INSIDE, "bash", end],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
