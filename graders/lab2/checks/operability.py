"""Whether production holds, whether everything renders, and whether what is written down is so."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from graders.evidence.bundle import Bundle
from graders.faults import Unmet
from graders.judging import Facts, Findings, check
from graders.kube.kustomizeerrors import reason_of
from graders.kube.networkpolicies import matches
from graders.lab2.fixednames import unprobed
from graders.lab2.names import ENVIRONMENTS, INSTALL, NAMESPACE, PAPER, WEB
from graders.lab2.reading import FleetRecord, engine_writes, policy_kinds
from graders.lab2.records import Rendering, RepositoryFile

_MORE_WORKLOADS = ("statefulsets", "daemonsets", "cronjobs")
"""What makes pods beside Deployments and stays."""
ZONE = "topology.kubernetes.io/zone"
LEAST_REPLICAS = 3


@check(
    "scheduling",
    tracks=(INSTALL,),
    hint="Look at Deployment, budget and class as the overlay of prod renders.",
)
def check_scheduling(bundle: Bundle, facts: Facts) -> None:
    """Web of production is spread, may be disrupted one pod at a time, and says how it feels."""
    record = FleetRecord(bundle, INSTALL)
    at = record.need("settled").t
    deployment = record.at("prod", "deployments", NAMESPACE, at)[WEB]
    spec = deployment["spec"]
    pod, labels = spec["template"]["spec"], spec["template"]["metadata"].get("labels") or {}
    facts["replicas"] = spec.get("replicas", 1)
    with Findings() as found:
        found.expect(
            spec.get("replicas", 1) >= LEAST_REPLICAS,
            f"{LEAST_REPLICAS} replicas in prod",
            str(spec["replicas"]),
        )
        spreads = pod.get("topologySpreadConstraints") or ()
        spread = any(
            each.get("topologyKey") == ZONE
            and each.get("maxSkew") == 1
            and each.get("labelSelector")
            and matches(each["labelSelector"], labels)
            for each in spreads
        )
        found.expect(
            spread, f"a spread over {ZONE} with maxSkew 1 that selects its own pods", "there is none"
        )
        budgets = record.at("prod", "poddisruptionbudgets", NAMESPACE, at)
        fitting = [
            b
            for b in budgets.values()
            if b["spec"].get("selector") is not None and matches(b["spec"]["selector"], labels)
        ]
        allowing = [b for b in fitting if (b.get("status") or {}).get("disruptionsAllowed", 0) >= 1]
        found.expect(
            allowing, "a PodDisruptionBudget of web that allows a disruption", f"of {len(fitting)} none does"
        )
        names = ", ".join(sorted(b["metadata"]["name"] for b in fitting))
        found.expect(
            len(fitting) <= 1,
            "one PodDisruptionBudget of web: a pod that two select is never evicted",
            f"web is selected by {names}",
        )
        classes = record.at("prod", "priorityclasses", "", at)
        name = pod.get("priorityClassName", "")
        found.expect(name in classes, "a PriorityClass that exists", f"priorityClassName is {name!r}")
        for path in unprobed(deployment):
            found.miss("there is none", f"a probe at {path}")


@check("renders", tracks=(PAPER,))
def check_renders(bundle: Bundle, facts: Facts) -> None:
    """Every environment, chart and the mesh render offline, twice to the same bytes."""
    renderings = bundle.records(Rendering)
    facts["rendered"] = len({each.what for each in renderings})
    sums: dict[str, set[str]] = {}
    with Findings(hint="Random values and times make every rendering another one.") as found:
        for each in renderings:
            if each.error:
                found.miss(f"{each.path}: {reason_of(each.error)[:300]}", f"{each.path} to render")
            else:
                sums.setdefault(each.path, set()).add(each.sha256)
        for path, different in sums.items():
            found.expect(
                len(different) == 1, f"{path} the same each time", f"{path} differs from time to time"
            )


@check(
    "inventory", tracks=(INSTALL, PAPER), hint="List in fleet.yaml what the overlays and policies/ render to."
)
def check_inventory(bundle: Bundle) -> None:
    """fleet.yaml lists each cluster with what the engine keeps there, and nothing else."""
    record = FleetRecord(bundle, INSTALL)
    at = record.need("settled").t
    written = {str(each["name"]): each for each in _clusters(bundle)}
    with Findings() as found:
        found.equal("clusters", sorted(ENVIRONMENTS), sorted(written))
        for environment in ENVIRONMENTS:
            entry = written.get(environment, {})
            found.equal(f"{environment}: environment", environment, entry.get("environment"))
            region = entry.get("region")
            found.expect(isinstance(region, str) and region, f"{environment}: a region", f"it is {region!r}")
            kept = dict(_kept(bundle, record, environment, at))
            for key in ("workloads", "policies"):
                listed = entry.get(key) or ()
                if not isinstance(listed, list | tuple):
                    found.miss(f"{key} is {str(listed)[:80]!r}", f"{environment}: a list of {key}")
                    continue
                there, said = sorted(kept[key]), sorted(map(str, listed))
                missing, extra = sorted(set(there) - set(said)), sorted(set(said) - set(there))
                observed = "; ".join(
                    f"{word} {', '.join(names[:5])}"
                    for word, names in (("without", missing), ("with", extra))
                    if names
                )
                found.expect(
                    there == said, f"{environment}: {key} as they are", f"{key} {observed or 'named twice'}"
                )


def _clusters(bundle: Bundle) -> list[Mapping[str, Any]]:
    text = next((each.text for each in bundle.records(RepositoryFile) if each.path == "fleet.yaml"), None)
    if text is None:
        raise Unmet("a fleet.yaml", "there is none")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unmet("a fleet.yaml that is YAML", str(error)[:200]) from error
    listed = data.get("clusters") if isinstance(data, Mapping) else None
    if not isinstance(listed, list) or not all(
        isinstance(each, Mapping) and "name" in each for each in listed
    ):
        raise Unmet("fleet.yaml: clusters, each with a name", "it has none")
    return listed


def _kept(bundle: Bundle, record: FleetRecord, environment: str, at: float) -> Iterator[tuple[str, set[str]]]:
    """What the engine made on a spoke and is there."""
    made = {
        (event.resource, event.namespace, event.name)
        for event in engine_writes(bundle, environment, 0.0, at)
        if event.did == "create" or event.verb == "patch"
    }
    kept = {("deployments", name) for name in record.at(environment, "deployments", NAMESPACE, at)}
    for resource in _MORE_WORKLOADS:
        for event in bundle.on(environment).audit_by_place.get((resource, NAMESPACE), ()):
            if event.ok and event.is_write and event.t <= at:
                (kept.discard if event.verb == "delete" else kept.add)((resource, event.name))
    yield "workloads", {f"{NAMESPACE}/{name}" for what, name in kept if (what, NAMESPACE, name) in made}
    policies = set()
    for resource, kind in policy_kinds(bundle).items():
        for namespace in ("", NAMESPACE):
            for name in record.at(environment, resource, namespace, at):
                if (resource, namespace, name) in made:
                    policies.add(f"{kind}/{name}")
    yield "policies", policies
