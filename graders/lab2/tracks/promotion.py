"""Releases: one that goes through, one that never gets ready, one after it, two at once, and one back."""

from graders.gitops.promoter import Promoter
from graders.lab2.context import FleetContext
from graders.lab2.images import BROKEN, digest_of
from graders.lab2.names import ENVIRONMENTS, HELD_S, NOTE, WINDOW_S
from graders.polling import NotYet

_MOST_HELD = 3
"""As many pushes are held: one that proposes, on a branch of its own, moves nothing yet."""


def promotion(context: FleetContext) -> None:
    """v2, with the new pods of dev and then of staging held back for a while."""
    context.settle()
    digest, promises, scale = digest_of("v2"), context.promises, context.fleet.scale
    for environment, held_s in HELD_S.items():
        context.fleet.readiness.hold(environment, digest, held_s * scale)
    context.release("v2")
    slow = sum(HELD_S.values())
    context.wait("v2 in dev", lambda: context.applied("dev", digest), promises.sync_s + promises.promote_s)
    context.wait("v2 ready in dev", lambda: context.ready("dev", digest), promises.promote_s)
    context.mark("dev-ready")
    limit_s = promises.promote_s + slow
    context.wait("v2 ready in prod", lambda: context.ready("prod", digest), limit_s)
    context.mark("prod-ready")


def gate(context: FleetContext) -> None:
    """v3, whose pods are never ready, then v4, without any help."""
    context.settle()
    promises, broken, mended = context.promises, digest_of(BROKEN), digest_of("v4")
    context.release(BROKEN)
    if context.reached("v3 in dev", lambda: context.applied("dev", broken), promises.sync_s):
        context.mark("window")
        context.rest("that v3 goes no further", promises.timeout_s + WINDOW_S)
        context.mark("window-over")
    context.release("v4", tell=False)
    limit_s = promises.promote_s + promises.timeout_s
    context.wait("v4 ready in prod", lambda: context.ready("prod", mended), limit_s)
    context.mark("prod-ready")


def race(context: FleetContext) -> None:
    """v5, and v6 as soon as v5 is in staging; a command then just wants to push what it knew before."""
    context.settle()
    promises, first, second = context.promises, digest_of("v5"), digest_of("v6")
    context.release("v5")
    limit_s = promises.sync_s + promises.promote_s
    context.wait("v5 in staging", lambda: context.applied("staging", first), limit_s)
    promoter = context.fleet.promoter
    if promoter is None:
        context.release("v6")
    else:
        _release_while_a_push_is_held(context, promoter)
    context.wait("v6 ready in prod", lambda: context.ready("prod", second), 2 * promises.promote_s)
    context.mark("prod-ready")


def _release_while_a_push_is_held(context: FleetContext, promoter: Promoter) -> None:
    """v6 comes while the command's next push is under way; a note, while that after a push elsewhere is."""

    def held() -> None:
        if not promoter.push_is_held:
            raise NotYet("the promotion command pushed nothing")

    promoter.hold_next_push()
    try:
        if context.reached("a push after v5 got to staging", held, context.promises.promote_s):
            context.mark("push-held")
        context.release("v6")
        for nth in range(2, _MOST_HELD + 1):
            if not (promoter.push_is_held and _goes_elsewhere(context, promoter)):
                break
            if not context.reached("a push to main", held, context.promises.promote_s):
                break
            context.mark("push-held", nth=nth)
            context.change("Write a note", {NOTE: f"Push {nth} was under way.\n".encode()})
    finally:
        promoter.let_push()


def _goes_elsewhere(context: FleetContext, promoter: Promoter) -> bool:
    """Let the push that is held go on and hold the next; whether this one changed other branches alone."""
    ended, (to_main, others) = promoter.ended, promoter.pushed()
    promoter.let_push(hold_another=True)

    def over() -> None:
        if not promoter.push_is_held and promoter.ended == ended:
            raise NotYet("the run of the promotion command goes on")

    context.reached("the end of a push that was held", over, context.promises.timeout_s)
    to_main_now, others_now = promoter.pushed()
    return to_main_now == to_main and others_now != others


def rollback(context: FleetContext) -> None:
    """The last release is taken back by `git revert`."""
    context.settle()
    fleet, promises = context.fleet, context.promises
    if len(fleet.live) < 2:
        context.release("v2")
        context.settle("the release that is to be taken back")
    former = fleet.live[-2]
    with context.in_git():
        commit = fleet.manager.revert(fleet.manager.last_release, former)
    fleet.live.append(former)
    fleet.engine.tell()
    context.mark("released", version=former, digest=digest_of(former), commit=commit)
    digest = digest_of(former)

    def back() -> None:
        for environment in ENVIRONMENTS:
            context.ready(environment, digest)

    context.wait("the former version everywhere", back, promises.sync_s + promises.promote_s)
    context.mark("window")
    context.rest("that it stays so", WINDOW_S)
    context.mark("window-over")
