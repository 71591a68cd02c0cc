"""Takes away what a run made in somebody's cluster, by its notes, and nothing else.

An object goes only if it was noted *and* has the label of that run. It works without kwok and without the
process that made the objects, so a run that was killed is cleaned up in the same way by the next one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from graders.clusters.existing.guest import run_of
from graders.clusters.existing.holds import end_pods, forget_node, let_go_of_kind, let_go_of_namespace
from graders.clusters.existing.journal import KUBECONFIG, Journal, read_journal
from graders.faults import InfraFault
from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import Target, read_path
from graders.ownership import NotUndone
from graders.polling import NotYet, TimedOut, wait_for

GONE_WITHIN_S = 180.0
_STUCK_AFTER_S = 5.0
_AT_ONCE = 8
_SHOWN = 6
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
    Journal(folder).close()


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

    def take(self) -> None:
        """Delete all, and wait until they are gone."""
        list(self._pool.map(self._delete, self._left))
        with contextlib.suppress(TimedOut):
            wait_for(self._gone, timeout_s=_STUCK_AFTER_S, interval_s=0.25)
            return
        deadline = GONE_WITHIN_S - _STUCK_AFTER_S
        try:
            wait_for(self._gone_for_sure, timeout_s=deadline, interval_s=0.5)
        except TimedOut as error:
            raise InfraFault(
                f"not gone after {GONE_WITHIN_S:.0f} s: {error}",
                fix="`kubeproof cluster sweep` tries again",
            ) from error

    def _gone(self) -> None:
        still = self._pool.map(lambda each: self._ours(each) is not None, self._left)
        self._left = [each for each, there in zip(self._left, still, strict=True) if there]
        if self._left:
            shown = ", ".join(f"{each.plural} {each.name}" for each in self._left[:_SHOWN])
            more = f" and {len(self._left) - _SHOWN} more" if len(self._left) > _SHOWN else ""
            self._note(f"waiting for {shown}{more} to go")
            raise NotYet(f"{shown}{more}")

    def _gone_for_sure(self) -> None:
        """Whatever keeps them is ours as well: a finalizer of the operator's, say, that nobody serves now."""
        list(self._pool.map(self._free, self._left))
        self._gone()

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
        # Whoever made an object of the same name since keeps it.
        condition = {"preconditions": {"uid": found["metadata"]["uid"]}}
        answer = self._kube.request("DELETE", target.path, body=condition)
        if not answer.ok and answer.code not in (404, 409):
            raise ApiRefused("DELETE", target.path, answer)

    def _free(self, target: Target) -> None:
        if target.plural == "namespaces":
            let_go_of_namespace(self._kube, target.name)
        else:
            self._delete(target)
