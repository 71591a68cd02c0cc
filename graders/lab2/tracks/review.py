"""The policies' own tests against dev, and attempts on prod while what the policies need is away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from graders.kube.client import ApiRefused, Kube
from graders.kube.paths import resource_path
from graders.lab2.attempts import breaking, unsigned
from graders.lab2.images import WEB, digest_of
from graders.lab2.names import INTRUDER, NAMESPACE
from graders.lab2.records import Asked
from graders.lab2.stage import FleetContext
from graders.lab2.tracks.admission import collection_of, tried
from graders.polling import NotYet

TESTS = ("policies/tests/pass", "policies/tests/fail")
_WHERE, _PROD = "dev", "prod"
_MOST_TESTS = 100


def review(context: FleetContext) -> None:
    """Each file of policies/tests, by a server dry run on dev."""
    context.settle()
    live = context.stage.spokes[_WHERE]
    kube = Kube(live.cluster.identities[INTRUDER])
    with context.in_git():
        root = context.stage.manager.checkout()
    for folder in TESTS:
        for file in sorted((root / folder).glob("*.y*ml"))[:_MOST_TESTS]:
            name = file.relative_to(root).as_posix()
            try:
                (item,) = [each for each in yaml.safe_load_all(file.read_bytes()) if each]
                item = {**item, "metadata": {"namespace": NAMESPACE, **item["metadata"]}}
                path = kube.path_for(item, collection=True)
                answer = kube.request("POST", path, query={"dryRun": "All"}, body=item)
                code, message = answer.code, answer.message if not answer.ok else ""
            except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, ApiRefused) as error:
                item, code, message = None, 0, f"it holds no single object: {error}"
            context.stage.recording.writer.add(
                Asked(
                    context.now(), _WHERE, context.track, f"review/{name}", "", INTRUDER,
                    str((item or {}).get("kind", "")), NAMESPACE, name, code, message[:500], dry_run=True,
                    object=item,
                )
            )  # fmt: skip
    context.mark("reviewed")


def fail_closed(context: FleetContext) -> None:
    """Take away what bindings on prod name as parameters, try again what is denied, and wait for them."""
    context.settle()
    stage = context.stage
    live = stage.spokes[_PROD]
    params = _parameters(context)
    before = {name: live.watches.objects("configmaps", NAMESPACE).get(name) for name in params}
    context.mark("taken-away", parameters=sorted(params))
    for name in params:
        live.kube.delete(resource_path("v1", "configmaps", namespace=NAMESPACE, name=name))
    image = f"{stage.values.registry}/{WEB}@{digest_of(stage.wanted)}"
    kube = Kube(live.cluster.identities[INTRUDER])
    attempts = [
        *unsigned("unsigned", stage.values.unsigned_image, image, NAMESPACE),
        *breaking(stage.values.registry, image, NAMESPACE),
    ]
    for attempt in attempts:
        if attempt.how != "create" or attempt.object["kind"] not in ("Pod", "Service"):
            continue
        answer, path = tried(kube, attempt, NAMESPACE)
        if answer.ok:
            kube.request("DELETE", path, query={"gracePeriodSeconds": 0})
        stage.recording.writer.add(
            Asked(
                context.now(), _PROD, context.track, f"closed/{attempt.case}", attempt.rule, INTRUDER,
                attempt.object["kind"], NAMESPACE, attempt.object["metadata"]["name"], answer.code,
                answer.message[:500] if not answer.ok else "",
            )
        )  # fmt: skip
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
                live.kube.create(collection_of("v1", "configmaps"), _bare(item))
    context.mark("back")
    context.settle("the fleet to settle with its parameters")
    context.mark("end")


def _parameters(context: FleetContext) -> set[str]:
    """Names of the ConfigMaps in the namespace of web that bindings take their parameters from."""
    found = set()
    for each in context.stage.declared["policies"]:
        ref = (each.get("spec") or {}).get("paramRef") or {}
        if ref.get("name") and ref.get("namespace", NAMESPACE) == NAMESPACE:
            found.add(str(ref["name"]))
    return found


def _bare(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: item["metadata"][key] for key in ("name", "labels") if key in item["metadata"]}
    return {"metadata": metadata, "data": item.get("data") or {}}
