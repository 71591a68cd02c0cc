"""Follows kinds that come to a cluster only by what is stored there, as constraints of Gatekeeper."""

import re
from collections.abc import Collection, Mapping, Sequence

from graders.admission.kinds import PolicyKind
from graders.background import BackgroundThread
from graders.faults import BadSubmission, InfraFault
from graders.scenario.fleet import LiveCluster

_LOOK_EVERY_S = 0.5
_NAME = re.compile(r"[a-z][a-z0-9]{0,62}")


def check_late_kinds(kinds: Sequence[PolicyKind], taken: Collection[str], folder: str) -> None:
    """See that kinds that `folder` declares can be told apart; resources in `taken` are followed already.

    Raises:
        BadSubmission: one cannot.
    """
    for each in kinds:
        if each.late and (each.resource in taken or not _NAME.fullmatch(each.resource)):
            raise BadSubmission(
                f"a template makes the kind {each.kind[:80]!r}, which is no name of its own",
                file=folder,
                fix="give it another, of letters and digits, that nothing else is called by",
            )


class LateWatches(BackgroundThread):
    """Follows each late kind on each cluster as soon as it is served there."""

    def __init__(self, clusters: Mapping[str, LiveCluster], kinds: Sequence[PolicyKind]) -> None:
        super().__init__("late watches")
        late = [each for each in kinds if each.late]
        self._missing = [(live, each) for live in clusters.values() for each in late]

    def _run(self) -> None:
        while self._missing and not self._stop.is_set():
            self._missing = [(live, kind) for live, kind in self._missing if not _followed(live, kind)]
            self._stop.wait(_LOOK_EVERY_S)


def _followed(live: LiveCluster, kind: PolicyKind) -> bool:
    try:
        if not live.kube.request("GET", kind.path, query={"limit": 1}).ok:
            return False
        live.watches.follow(kind.resource, kind.path)
    except InfraFault:
        # Its API server is away, or has forgotten the kind: the next look tells.
        return False
    return True
