"""Kinds of policies: which are watched and counted, and what of them drift changes."""

from __future__ import annotations

from typing import Any

import pytest

from graders.admission.engines import POLICY_ENGINES, definitions_of, engines_named
from graders.admission.kinds import POLICY_KINDS, kind_of, kinds_of, loosenings, namespace_of
from graders.faults import BadSubmission
from graders.lab2.driftcases import cases_of
from graders.lab2.handin import check_policies


def policy(kind: str, group: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "p"}, "spec": spec}


class TestKinds:
    def test_those_of_the_api_server_are_always_among_them(self) -> None:
        assert {each.engine for each in kinds_of(())} == {"vap"}
        assert {each.engine for each in kinds_of(("kyverno",))} == {"vap", "kyverno"}

    def test_a_template_brings_the_kind_of_its_constraints(self) -> None:
        template = policy("ConstraintTemplate", "templates.gatekeeper.sh/v1", {})
        template["spec"] = {"crd": {"spec": {"names": {"kind": "ReleasedImages"}}}}
        found = {each.kind for each in kinds_of(("gatekeeper",), [template]) if each.engine == "gatekeeper"}
        assert found == {"ConstraintTemplate", "ReleasedImages"}

    def test_no_two_are_followed_under_one_name(self) -> None:
        followed = [each.resource for each in POLICY_KINDS]
        assert len(set(followed)) == len(followed)

    def test_each_engine_brings_the_definitions_of_its_kinds(self) -> None:
        served = {
            (item["spec"]["group"], version["name"], item["spec"]["names"]["plural"])
            for item in definitions_of(tuple(POLICY_ENGINES.values()))
            for version in item["spec"]["versions"]
            if version["served"]
        }
        for each in POLICY_KINDS:
            if each.engine != "vap":
                group, _, version = each.api_version.partition("/")
                assert (group, version, each.resource) in served

    def test_a_kind_is_known_in_any_version_of_its_group(self) -> None:
        for version in ("v1", "v1beta1", "v1alpha1"):
            found = kind_of(policy("ValidatingPolicy", f"policies.kyverno.io/{version}", {}))
            assert found is not None
            assert found.resource == "validatingpolicies"
        assert kind_of(policy("ValidatingPolicy", "elsewhere.example/v1", {})) is None
        assert kind_of({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}}) is None

    def test_a_policy_of_a_namespace_is_in_that_of_web_unless_it_says_another(self) -> None:
        item = policy("Policy", "kyverno.io/v1", {})
        found = kind_of(item)
        assert found is not None
        assert namespace_of(item, found, "web") == "web"
        assert (
            namespace_of({**item, "metadata": {"name": "p", "namespace": "dev-tools"}}, found, "web")
            == "dev-tools"
        )


class TestDrift:
    @pytest.mark.parametrize(
        ("item", "pointer", "loose"),
        [
            (
                policy("ValidatingPolicy", "policies.kyverno.io/v1", {"validationActions": ["Deny"]}),
                "/spec/validationActions", ["Audit"],
            ),
            (
                policy(
                    "ImageValidatingPolicy", "policies.kyverno.io/v1beta1", {"validationActions": ["Deny"]}
                ),
                "/spec/validationActions", ["Audit"],
            ),
            (
                policy("ClusterPolicy", "kyverno.io/v1", {"validationFailureAction": "Enforce"}),
                "/spec/validationFailureAction", "Audit",
            ),
            (
                policy(
                    "ClusterPolicy", "kyverno.io/v1", {"rules": [{"validate": {"failureAction": "Enforce"}}]}
                ),
                "/spec/rules/0/validate/failureAction", "Audit",
            ),
            (
                policy("ValidatingAdmissionPolicyBinding", "admissionregistration.k8s.io/v1",
                       {"validationActions": ["Deny"]}),
                "/spec/validationActions", ["Audit"],
            ),
        ],
    )  # fmt: skip
    def test_the_action_of_one_policy_is_loosened(
        self, item: dict[str, Any], pointer: str, loose: object
    ) -> None:
        (case,) = cases_of([item])
        assert (case.name, case.kind) == ("policy", item["kind"])
        assert case.patch is not None
        assert case.patch(None) == [{"op": "replace", "path": pointer, "value": loose}]

    def test_of_several_another_one_is_changed_in_each_environment(self) -> None:
        declared = [
            {**policy("NetworkPolicy", "networking.k8s.io/v1", {"ingress": [{}]}), "metadata": {"name": name}}
            for name in ("n0", "n1")
        ]
        spec = {"validationActions": ["Deny"]}
        declared += [
            {**policy("ValidatingPolicy", "policies.kyverno.io/v1", spec), "metadata": {"name": name}}
            for name in ("p0", "p1", "p2")
        ]
        found = [{case.name: case.object for case in cases_of(declared, nth=nth)} for nth in range(3)]
        assert [each["network"] for each in found] == ["n0", "n1", "n0"]
        assert [each["policy"] for each in found] == ["p0", "p1", "p2"]

    def test_what_is_loose_or_not_declared_cannot_drift(self) -> None:
        loose = policy("ValidatingPolicy", "policies.kyverno.io/v1", {"validationActions": ["Audit"]})
        silent = policy("ValidatingPolicy", "policies.kyverno.io/v1", {})
        assert list(loosenings([loose, silent])) == []


class TestEngines:
    def test_a_policy_of_an_engine_that_is_not_named_is_refused(self) -> None:
        item = policy("ValidatingPolicy", "policies.kyverno.io/v1", {})
        check_policies([item], ("vap", "kyverno"))
        with pytest.raises(BadSubmission, match=r"ValidatingPolicy p, which is Kyverno's.*names vap"):
            check_policies([item], ("vap",))

    def test_policies_of_the_api_server_need_no_process(self) -> None:
        assert [each.name for each in engines_named(("vap", "kyverno"))] == ["kyverno"]
