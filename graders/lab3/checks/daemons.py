"""Faults of what runs on nodes: their networks, their name service, their containers, their processors."""

from graders.evidence.bundle import Bundle
from graders.faults import InfraFault
from graders.judging import check
from graders.model import Capability


@check("daemon-faults", needs=(Capability.REAL_PODS,))
def check_daemon_faults(bundle: Bundle) -> None:
    """What is served survives faults of nodes and networks."""
    raise InfraFault(f"no track of this version injects them on {', '.join(bundle.manifest.clusters)}")
