"""The guards of a namespace, as they are written; what they do is seen on real API servers."""

from __future__ import annotations

from graders.clusters.confinement import REAL, NamespaceBounds, bounds_manifests
from graders.clusters.containment import NAME, guard_manifests


def by_name(room: NamespaceBounds, *api: tuple[str, int]) -> dict[str, dict[str, object]]:
    found = {
        each["metadata"]["name"].removeprefix(f"{NAME}-"): each for each in bounds_manifests("n", room, api)
    }
    assert all(each["metadata"]["namespace"] == "n" for each in found.values())
    return {name: each["spec"] for name, each in found.items()}


def test_by_default_nobody_speaks_to_anybody_but_the_name_service() -> None:
    found = by_name(NamespaceBounds({"pods": "1"}))
    assert set(found) == {"deny", "dns", "quota"}
    assert found["deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert found["dns"]["policyTypes"] == ["Egress"]
    assert found["quota"] == {"hard": {"pods": "1"}}


def test_pods_of_one_job_speak_with_each_other_alone() -> None:
    found = by_name(NamespaceBounds(peers=[{"job": "a"}, {"job": "b"}]))
    peers = [{"podSelector": {"matchLabels": {"job": "b"}}}]
    assert found["peers-1"] == {
        "podSelector": {"matchLabels": {"job": "b"}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": peers}],
        "egress": [{"to": peers}],
    }


def test_an_operator_reaches_the_api_server_and_its_one_port() -> None:
    found = by_name(NamespaceBounds(api=True), ("10.0.0.1", 6443), ("fd00::1", 443))
    ways = found["api"]["egress"]
    assert [way["to"][0]["ipBlock"]["cidr"] for way in ways] == ["10.0.0.1/32", "fd00::1/128"]  # type: ignore[attr-defined]
    assert [way["ports"][0]["port"] for way in ways] == [6443, 443]  # type: ignore[attr-defined]


def test_real_pods_have_bounds_even_if_they_name_none() -> None:
    found = by_name(REAL)
    (limit,) = found["defaults"]["limits"]  # type: ignore[misc]
    assert limit["type"] == "Container"
    assert {"cpu", "memory"} <= limit["default"].keys() & limit["defaultRequest"].keys()
    assert {"pods", "limits.memory", "requests.cpu", "persistentvolumeclaims"} <= REAL.hard.keys()


def test_every_policy_is_bound_and_fails_closed() -> None:
    manifests = guard_manifests(simulated=True)
    policies = {m["metadata"]["name"] for m in manifests if m["kind"] == "ValidatingAdmissionPolicy"}
    bindings = {m["spec"]["policyName"]: m["spec"] for m in manifests if m["kind"].endswith("Binding")}
    assert policies == bindings.keys()
    assert all(name.startswith(NAME) for name in policies)
    assert all(
        spec["validationActions"] == ["Deny"] and "matchResources" not in spec for spec in bindings.values()
    )
    assert all(m["spec"].get("failurePolicy", "Fail") == "Fail" for m in manifests)
    assert guard_manifests() == manifests[-len(guard_manifests()) :]


def test_the_policy_that_is_tried_is_written_last_so_that_it_speaks_for_all() -> None:
    for manifests in (guard_manifests(), guard_manifests(simulated=True)):
        tried = [m["metadata"]["name"] for m in manifests[-2:]]
        assert tried == [NAME, NAME]
        assert manifests[-1]["spec"]["policyName"] == NAME
