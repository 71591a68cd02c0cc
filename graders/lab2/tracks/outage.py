"""A release while an environment is away, and an engine that dies in the middle of it with all it kept."""

from graders.faults import InfraFault
from graders.lab2.context import FleetContext
from graders.lab2.images import digest_of
from graders.lab2.livefleet import LiveFleet

AWAY = "staging"
AWAY_S = 20.0
"""So long after dev is ready its API server stays away."""
DEAD_S = 5.0
LEEWAY_S = 30.0
_API_SERVER = "kube-apiserver"
_ITS_CLIENTS = ("kube-controller-manager", "kube-scheduler", "kwok")
"""They go with it, as does what judges by policies: left to themselves they back off, and would be late."""
_BACK_WITHIN_S = 60.0


def possible(fleet: LiveFleet) -> bool:
    """Whether the API server of a spoke can be stopped."""
    return fleet.spokes[AWAY].cluster.control is not None


def engine_loss(context: FleetContext) -> None:
    """v7 with the API server of staging stopped; when it gets there, the engine dies and is started again."""
    context.settle()
    fleet, promises, digest = context.fleet, context.promises, digest_of("v7")
    control = fleet.spokes[AWAY].cluster.control
    if control is None:
        raise InfraFault("the API server of a spoke cannot be stopped here")
    controllers = fleet.controllers.get(AWAY, ())
    for controller in controllers:
        controller.kill()
    for name in (*_ITS_CLIENTS, _API_SERVER):
        control.kill(name)
    context.mark("away", environment=AWAY)
    try:
        context.release("v7")
        limit_s = promises.sync_s + promises.promote_s
        context.wait("v7 ready in dev", lambda: context.ready("dev", digest), limit_s, without=(AWAY,))
        context.mark("dev-ready")
        context.rest("that nothing goes past an environment that is away", AWAY_S)
        context.mark("returning", environment=AWAY)
    finally:
        control.start(_API_SERVER)
        control.wait_ready(_BACK_WITHIN_S)
        for controller in controllers:
            controller.start()
        for name in _ITS_CLIENTS:
            control.start(name)
    context.mark("back", environment=AWAY)
    limit_s = promises.sync_s + LEEWAY_S
    context.wait("v7 in staging", lambda: context.applied(AWAY, digest), limit_s, without=(AWAY,))
    fleet.engine.kill()
    context.mark("engine-killed")
    context.rest("the engine to be missed", DEAD_S)
    fleet.engine.start()
    context.mark("engine-started")
    limit_s = promises.promote_s + LEEWAY_S
    context.wait("v7 ready in prod", lambda: context.ready("prod", digest), limit_s, without=(AWAY,))
    context.mark("prod-ready")
    context.settle("the fleet to settle")
    context.mark("end")
