"""What a runbook is run with."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from graders.clusterctl.door import CLIENT
from graders.sandbox.protocol import Limits, Sandbox
from graders.sandbox.runtime import Runtime
from graders.tools import Tools


@dataclass(frozen=True)
class RunbookEnvironment:
    """What every script has: the sandbox, its runtime, the clients of etcd, and what was handed in.

    `user` is whose kubeconfig it has: an identity of the cluster.
    """

    sandbox: Sandbox
    runtime: Runtime
    tools: Tools
    submission: Path
    limits: Limits
    folder: Path
    user: str

    @property
    def kubectl(self) -> Path:
        """The one that came with kubeproof."""
        return Path(sys.executable).parent / "kubectl"

    def programs(self) -> Path:
        """A folder with kubectl, the clients of etcd and CLUSTER_CTL, to be shown to sandboxes."""
        folder = self.folder / "programs"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            folder.chmod(0o755)
            for program in (self.kubectl, self.tools.path("etcdctl"), self.tools.path("etcdutl")):
                shutil.copyfile(program.resolve(), folder / program.name)
            head = f"#!{self.runtime.python} -ISB\n".encode()
            (folder / "cluster-ctl").write_bytes(head + CLIENT.read_bytes())
            for path in folder.iterdir():
                path.chmod(0o755)
        return folder
