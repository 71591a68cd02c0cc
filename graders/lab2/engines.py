"""The engines a fleet can be kept by, by their names in submission.yaml, and the token of web."""

from collections.abc import Mapping
from pathlib import Path

from graders.gitops.argocd import ArgoCDSetup
from graders.gitops.flux import FluxSetup
from graders.gitops.sealing import SealedToken
from graders.gitops.seam import EngineSetup, FleetShape
from graders.lab2.names import ENGINE, ENVIRONMENTS, NAMESPACE
from graders.lab2.toolsets import ARGOCD, FLUX

_CONFIG = Path(__file__).parent / "config"

SHAPE = FleetShape(ENGINE, ENVIRONMENTS, NAMESPACE)
TOKEN = SealedToken(NAMESPACE, "web-token", "token", _CONFIG / "sealing.key", _CONFIG / "age.key")
SETUPS: Mapping[str, EngineSetup] = {
    "argocd": ArgoCDSetup(ARGOCD, SHAPE),
    "flux": FluxSetup(FLUX, SHAPE, TOKEN.age_key),
}
