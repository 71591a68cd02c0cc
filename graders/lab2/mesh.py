"""What is asked of mesh/: who may call web and cache, and nobody else; pure."""

from graders.kube.meshdemands import MeshDemand
from graders.lab2.fixednames import PORTS
from graders.lab2.names import CACHE, ELSEWHERE, NAMESPACE, WEB

DEMAND = MeshDemand(
    namespace=NAMESPACE,
    ports=PORTS,
    port_names=("http", "redis"),
    pairs={("gateway", "gateway", WEB), ("web", "web", CACHE)},
    callers=(
        ("gateway", "gateway"), ("web", "web"), ("web", "cache"), ("web", "default"), ("gateway", "default"),
        ("dev-tools", "web"), ("dev-tools", "gateway"), (ELSEWHERE, "gateway"), ("", ""),
    ),
    exported=WEB,
)  # fmt: skip
