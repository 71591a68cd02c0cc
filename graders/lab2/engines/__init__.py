"""The engines a fleet can be kept by, a module each; `SETUPS` has them by their names in submission.yaml."""

from __future__ import annotations

from collections.abc import Mapping

from graders.lab2.engines.argocd import ArgoCDSetup
from graders.lab2.engines.flux import FluxSetup
from graders.lab2.engines.seam import EngineSetup, EngineSpec, GitOpsEngine

SETUPS: Mapping[str, EngineSetup] = {"argocd": ArgoCDSetup(), "flux": FluxSetup()}

__all__ = ["SETUPS", "EngineSetup", "EngineSpec", "GitOpsEngine"]
