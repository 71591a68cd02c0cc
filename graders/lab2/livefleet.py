"""What all tracks of a run share: the fleet while it lives, its engine, the release manager."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graders.admission.engines import PolicyController
from graders.admission.kinds import PolicyKind, kinds_of
from graders.evidence.recording import Recording
from graders.gitops.promoter import Promoter
from graders.gitops.releasemanager import ReleaseManager
from graders.gitops.seam import EngineSetup, GitOpsEngine
from graders.lab2.block import Lab2Manifest
from graders.lab2.handin import Values
from graders.scenario.fleet import LiveCluster
from graders.scenario.podreadiness import Readiness
from graders.submissions.rendering import Renderer


@dataclass(frozen=True)
class LiveFleet:
    """One run's fleet. `scale` is how slow the machine is; promises are the learner's, unstretched."""

    hub: LiveCluster
    spokes: Mapping[str, LiveCluster]
    setup: EngineSetup
    engine: GitOpsEngine
    manager: ReleaseManager
    readiness: Readiness
    manifest: Lab2Manifest
    values: Values
    hub_objects: tuple[Mapping[str, Any], ...]
    declared: Mapping[str, tuple[Mapping[str, Any], ...]]
    """What Git declares for each environment, rendered, and under `policies` for all of them."""
    scale: float
    recording: Recording
    renderer: Renderer
    kinds: tuple[PolicyKind, ...] = kinds_of(())
    """Of what kinds policies may be."""
    controllers: Mapping[str, tuple[PolicyController, ...]] = field(default_factory=dict)
    """What judges by them beside each spoke's API server."""
    gitleaks: Path | None = None
    """What looks for secrets in Git; None where nobody asks."""
    sops: Path | None = None
    """Where the engine decrypts what SOPS has encrypted."""
    promoter: Promoter | None = None
    """Who promotes by the learner's command; None where the engine does."""
    live: list[str] = field(default_factory=lambda: ["v1"])
    """The versions that were wanted, in their order."""
    git: threading.RLock = field(default_factory=threading.RLock)
    """Held by the track that the release manager works for."""
    came_up: threading.Event = field(default_factory=threading.Event)
    """Set once everything was there for the first time."""
    lacking: list[str] = field(default_factory=list)
    """What it did not come up for, where it did not."""

    @property
    def installed(self) -> bool:
        """Whether there is a fleet for tracks to act on."""
        return self.came_up.is_set()

    @property
    def wanted(self) -> str:
        """The version of web that every environment should come to."""
        return self.live[-1]

    def check_services(self, without: tuple[str, ...] = ()) -> None:
        """See that engine, Git server and judges run, but on the clusters `without`; raises InfraFault."""
        self.engine.check_alive()
        self.manager.check_server()
        self.check_judges(without)

    def check_judges(self, without: tuple[str, ...] = ()) -> None:
        """The same of what judges by policies alone; raises InfraFault."""
        for name, controllers in self.controllers.items():
            for controller in controllers if name not in without else ():
                controller.check_alive()
