"""Attempts on prod while what its policies need is away: the engine that judges, or their parameters."""

from collections.abc import Iterator, Mapping
from typing import Any

from graders.admission.attempts import Attempt
from graders.admission.denials import by_a_policy
from graders.admission.specimens import pod
from graders.kube.networkpolicies import matches
from graders.kube.paths import resource_path
from graders.lab2.attempts import breaking, unsigned
from graders.lab2.context import FleetContext
from graders.lab2.names import NAMESPACE
from graders.lab2.tracks.admission import intruder
from graders.polling import NotYet

WHERE = "prod"
_BINDINGS = "validatingadmissionpolicybindings"
_GOOD = "lab-good-again"
_READ_WITHIN_S = 2.0
"""An engine that was just started serves before it has read every policy: that gap is not the learner's."""
_ADMITS_WITHIN_S = 30.0
"""Longer than it may take, so that how long it took is on record."""


def fail_closed(context: FleetContext) -> None:
    """Take away what the policies need, try what is to be denied, bring it back, and wait for it."""
    context.settle()
    if context.fleet.controllers.get(WHERE):
        _without_engines(context)
    if params := _parameters(context):
        _without_parameters(context, params)
    elif not context.fleet.controllers.get(WHERE):
        context.mark("taken-away", parameters=[])
        _try_all(context, "closed")
        context.mark("tried")
    context.settle("the fleet to settle again")
    context.mark("end")


def _without_engines(context: FleetContext) -> None:
    """SIGKILL what judges, and start it again."""
    controllers = context.fleet.controllers[WHERE]
    for controller in controllers:
        controller.kill()
    context.mark("killed")
    try:
        _try_all(context, "closed")
        context.mark("tried-killed")
    finally:
        context.mark("started")
        for controller in controllers:
            controller.start()
    by = intruder(context, WHERE)
    good = Attempt("good", "", pod(_GOOD, _image(context), NAMESPACE))

    def admitted() -> None:
        answer, path = by.tried(good)
        if not answer.ok:
            raise NotYet(f"a good pod is refused: {answer.code} {answer.message[:200]}")
        by.remove(path)

    if context.reached("a good pod to be admitted", admitted, _ADMITS_WITHIN_S):
        context.mark("admitted")
    context.rest("policies that are read anew", _READ_WITHIN_S)
    _try_all(context, "closed-after")
    context.mark("tried-again")


def _without_parameters(context: FleetContext, params: set[str]) -> None:
    """Delete what bindings name as parameters, and wait until the engine has brought it back."""
    live = context.fleet.spokes[WHERE]
    before = {name: live.watches.objects("configmaps", NAMESPACE).get(name) for name in params}
    context.mark("taken-away", parameters=sorted(params))
    for name in params:
        path = resource_path("v1", "configmaps", namespace=NAMESPACE, name=name)
        answer = live.kube.request("DELETE", path)
        if not answer.ok and by_a_policy(answer.message):
            context.mark("kept-by-a-policy", parameter=name, message=answer.message[:300])
            del before[name]
    _try_all(context, "closed")
    context.mark("tried")

    def back() -> None:
        there = live.watches.objects("configmaps", NAMESPACE)
        for name, item in before.items():
            now = there.get(name)
            if item is not None and (now is None or now["metadata"]["uid"] == item["metadata"]["uid"]):
                raise NotYet(f"ConfigMap {name} is not back")

    if not context.reached("the parameters to be back", back, context.promises.drift_s):
        for name, item in before.items():
            if item is not None and name not in live.watches.objects("configmaps", NAMESPACE):
                live.kube.request(
                    "POST", resource_path("v1", "configmaps", namespace=NAMESPACE), body=_bare(item)
                )
    context.mark("back")


def _try_all(context: FleetContext, group: str) -> None:
    """Pods and Services that break a rule, and a pod of an image without a signature, one after another."""
    values, image = context.fleet.values, _image(context)
    attempts = [
        *unsigned("unsigned", values.unsigned_image, image, NAMESPACE)[:1],
        *breaking(values.registry, image, NAMESPACE),
    ]
    by = intruder(context, WHERE)
    for attempt in attempts:
        if attempt.how == "create" and attempt.object["kind"] in ("Pod", "Service"):
            by.attempt_and_remove(group, attempt)


def _image(context: FleetContext) -> str:
    return context.image_of(context.fleet.wanted)


def _parameters(context: FleetContext) -> set[str]:
    """Names of the ConfigMaps in the namespace of web that bindings take their parameters from."""
    there = context.fleet.spokes[WHERE].watches.objects("configmaps", NAMESPACE)
    bindings = context.fleet.spokes[WHERE].watches.objects(_BINDINGS, "").values()
    return {name for each in bindings for name in parameters_of(each, there)}


def parameters_of(policy: Mapping[str, Any], there: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Those of the ConfigMaps that are there, by name, which a binding names or selects by their labels."""
    ref = (policy.get("spec") or {}).get("paramRef") or {}
    if ref.get("namespace", NAMESPACE) != NAMESPACE:
        return
    if ref.get("name"):
        yield str(ref["name"])
    elif isinstance(ref.get("selector"), Mapping):
        for name, item in there.items():
            if matches(ref["selector"], item["metadata"].get("labels") or {}):
                yield name


def _bare(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: item["metadata"][key] for key in ("name", "labels") if key in item["metadata"]}
    return {"metadata": metadata, "data": item.get("data") or {}}
