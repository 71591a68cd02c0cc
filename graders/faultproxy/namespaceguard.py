"""Keeps an operator to the namespaces it is graded in, on a cluster where more than that is to be had."""

from collections.abc import Callable

from graders.faultproxy.rules import InFlight, Rule, RuleAnswer
from graders.kube.requestinfo import Match, RequestInfo

NAME = "namespace-guard"

_ASKING = frozenset({"authorization.k8s.io", "authentication.k8s.io"})
"""Groups whose objects are questions: nothing is stored."""

_NO_TAMPERING = frozenset({"", "status", "scale"})
"""Subresources that may be read; others lead into pods and nodes."""

_REFUSED = RuleAnswer(
    403,
    "Forbidden",
    "kubeproof lets an operator write only in the namespaces it is graded in: this cluster is somebody's own",
)


class NamespaceGuard(Rule):
    """Whatever its rights, an operator writes only where `owns` says so, and reads no Secret elsewhere."""

    def __init__(self, owns: Callable[[str], bool]) -> None:
        super().__init__(NAME, Match())
        self._owns = owns

    async def before(self, request: InFlight) -> RuleAnswer | None:
        """Answer what would lead out of them."""
        if self.lets(request.info):
            return None
        self._apply(request, "refused: not in a namespace of this grading")
        return _REFUSED

    def lets(self, info: RequestInfo) -> bool:
        """Whether a request stays inside."""
        if info.namespace and info.resource != "namespaces" and self._owns(info.namespace):
            return True
        if info.group in _ASKING:
            return True
        # A trial of a change is answered with the object.
        changes_nothing = info.dry_run or info.verb in ("get", "list", "watch")
        return changes_nothing and info.resource != "secrets" and info.subresource in _NO_TAMPERING
