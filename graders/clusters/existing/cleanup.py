"""Takes away what a run made in somebody's cluster, by its notes, and nothing else.

An object goes only if it was noted *and* has the label of that run. It works without kwok and without the
process that made the objects, so a run that was killed is cleaned up in the same way by the next one.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from graders.clusters.existing.finalizers import (
    end_pods,
    forget_node,
    let_go,
    let_go_of_kind,
    let_go_of_namespace,
)
from graders.clusters.existing.journal import KUBECONFIG, GuestJournal, read_journal
from graders.clusters.existing.ownedscope import run_of
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import Target, read_path
from graders.ownership import NotUndone
from graders.polling import NotYet, TimedOut, wait_for

GONE_WITHIN_S = 180.0
_LONG_S = 20.0
_AT_ONCE = 8
_POLICIES = "admissionregistration.k8s.io"


_given_up: dict[Path, str] = {}
"""Folders whose notes this process could not clear: once is enough, the next process tries again."""


def undo(folder: Path, note: Callable[[str], object] = lambda _: None) -> None:
    """Take away what is noted in an owned folder; `note` is told what is waited for.

    Raises:
        NotUndone: the cluster cannot be reached, or something stayed; the notes are still there.
    """
    found = read_journal(folder)
    if found is None:
        return
    head, paths = found
    try:
        if folder in _given_up:
            raise NotUndone(_given_up[folder])
        kube = Kube(folder / KUBECONFIG)
        if cluster_uid(kube) != head.cluster:
            raise NotUndone(f"context {head.context} ({head.server}) leads to another cluster by now")
        remove(kube, head.run, paths, note)
    except (InfraFault, ApiRefused) as error:
        _given_up[folder] = f"what run {head.run} made in context {head.context} is still there: {error}"
        raise NotUndone(_given_up[folder]) from error
    GuestJournal(folder).close()


def cluster_uid(kube: Kube) -> str:
    """What tells one cluster from every other: the uid of its oldest namespace."""
    return str(kube.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])


def remove(
    kube: Kube, run: str, paths: Iterable[str], note: Callable[[str], object] = lambda _: None
) -> None:
    """Take the objects at `paths` away, in the order that lets each go; `note` is told what is waited for.

    The policies that hold a learner's pods go after the pods, and the nodes last.

    Raises:
        InfraFault: something is still there after `GONE_WITHIN_S`, or the API server does not answer.
        ApiRefused: it says no.
    """
    targets = [target for path in paths if (target := read_path(path)) is not None]
    nodes = [each for each in targets if each.plural == "nodes"]
    policies = [each for each in targets if each.group == _POLICIES]
    rest = [each for each in targets if each not in nodes and each not in policies]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for step in (rest, policies, nodes):
            _Step(kube, run, step, pool, note).take()
        list(pool.map(lambda node: forget_node(kube, node.name), nodes))


class _Step:
    """Objects that may go side by side."""

    def __init__(
        self,
        kube: Kube,
        run: str,
        targets: list[Target],
        pool: ThreadPoolExecutor,
        note: Callable[[str], object],
    ) -> None:
        self._kube = kube
        self._run = run
        self._left = targets
        self._pool = pool
        self._note = note
        self._since = time.monotonic()

    def take(self) -> None:
        """Delete all, and wait until they are gone."""
        list(self._pool.map(self._delete, self._left))
        try:
            wait_for(self._gone, timeout_s=GONE_WITHIN_S, interval_s=0.25)
        except TimedOut as error:
            raise InfraFault(
                f"not gone after {GONE_WITHIN_S:.0f} s: {error}",
                fix="`kubeproof cluster sweep` tries again",
            ) from error

    def _gone(self) -> None:
        """One is waited for at a time: when it goes, most others have gone with it."""
        while self._left:
            first = self._left[0]
            found = self._ours(first)
            if found is not None:
                if first.plural == "namespaces" and (_is_held(found) or self._waited_long()):
                    let_go_of_namespace(self._kube, first.name)
                told = f"{first.plural} {first.name}"
                more = f" and {len(self._left) - 1} more" if len(self._left) > 1 else ""
                self._note(f"waiting for {told}{more} to go")
                raise NotYet(f"{told}{more}")
            del self._left[0]
            self._since = time.monotonic()

    def _waited_long(self) -> bool:
        """Whether what is waited for has not gone for a while: what holds it may be told nowhere."""
        waited = time.monotonic() - self._since > _LONG_S
        if waited:
            self._since = time.monotonic()
        return waited

    def _ours(self, target: Target) -> Mapping[str, Any] | None:
        found = self._kube.find(target.path)
        return found if found is not None and run_of(found) == self._run else None

    def _delete(self, target: Target) -> None:
        found = self._ours(target)
        if found is None:
            return
        if target.plural == "namespaces":
            end_pods(self._kube, target.name)
        if target.plural == "customresourcedefinitions":
            let_go_of_kind(self._kube, found)
        let_go(self._kube, target, found)
        # Whoever made an object of the same name since keeps it.
        condition = {"preconditions": {"uid": found["metadata"]["uid"]}}
        answer = self._kube.request("DELETE", target.path, body=condition)
        if not answer.ok and answer.code not in (404, 409):
            raise ApiRefused("DELETE", target.path, answer)


def _is_held(namespace: Mapping[str, Any]) -> bool:
    """Whether a finalizer that nobody serves now keeps something in a namespace that is to go."""
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    return any(
        each["type"] == "NamespaceFinalizersRemaining" and each["status"] == "True" for each in conditions
    )
