"""What a learner's programs are run with."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from graders.clusterctl.door import CLIENT
from graders.model import Submission
from graders.sandbox.protocol import Limits, Sandbox
from graders.sandbox.runtime import Runtime
from graders.tools import Tools


@dataclass(frozen=True)
class Kit:
    """What every script has: the sandbox, the runtimes, the programs, and what was handed in."""

    sandbox: Sandbox
    runtime: Runtime
    chaos: Runtime
    hunter: Runtime
    tools: Tools
    submission: Submission
    limits: Limits
    tool_limits: Limits
    folder: Path

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
