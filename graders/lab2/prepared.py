"""What a run of the lab has before a fleet starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graders.gitops.seam import EngineSetup
from graders.lab2.handin import Values
from graders.ownership import OwnedFolder
from graders.sandbox.runtime import Runtime
from graders.scenario.spec import Run
from graders.scenario.toolroom import ToolRoom
from graders.services.gitserver import GitServer
from graders.submissions.rendering import Renderer


@dataclass(frozen=True)
class PreparedRun:
    """A run with its programs, its registry of images and its Git server."""

    run: Run
    owner: OwnedFolder
    server: GitServer
    values: Values
    renderer: Renderer
    setup: EngineSetup
    program: Path
    """The engine's; nowhere where no fleet is wanted."""
    policy_programs: Mapping[str, Path]
    """Those of policy engines, by their names; none where no fleet is wanted."""
    runtime: Runtime | None
    """Where learners' programs run; None where none is to."""
    tools: Mapping[str, Path]

    @property
    def tool_room(self) -> ToolRoom | None:
        """Where learners' programs run, with what they have on their PATH; None where none is to."""
        if self.runtime is None:
            return None
        found = {"kustomize": self.renderer.kustomize, "helm": self.renderer.helm, **self.tools}
        there = {name: path for name, path in found.items() if path is not None}
        return ToolRoom(self.run.sandbox, self.runtime, there)
