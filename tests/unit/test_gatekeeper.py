"""Gatekeeper's kinds: those of the templates that Git declares, and how their constraints can be loosened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graders.admission.engines import POLICY_ENGINES, definitions_of, engines_named
from graders.admission.kinds import kind_of, kinds_of, loosenings
from graders.admission.latewatches import LateWatches, check_late_kinds
from graders.faults import BadSubmission
from graders.kube.client import Answer
from graders.lab2.fleet import SPOKE_WATCHES
from graders.polling import NotYet, wait_for
from graders.services.gatekeeper import Gatekeeper, WebhookServing


def template(kind: str) -> dict[str, Any]:
    names = {"crd": {"spec": {"names": {"kind": kind}}}}
    return {"kind": "ConstraintTemplate", "metadata": {"name": kind.lower()}, "spec": names}


def constraint(kind: str, **spec: Any) -> dict[str, Any]:
    version = "constraints.gatekeeper.sh/v1beta1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec}


def test_each_template_makes_a_kind_that_comes_late() -> None:
    kinds = kinds_of(["gatekeeper"], [template("ReadOnlyRoots")])
    (made,) = (each for each in kinds if each.late)
    assert (made.kind, made.resource) == ("ReadOnlyRoots", "readonlyroots")
    assert made.path == "/apis/constraints.gatekeeper.sh/v1beta1/readonlyroots"
    assert {"ConstraintTemplate", "ValidatingAdmissionPolicy"} <= {each.kind for each in kinds}
    assert kind_of(constraint("ReadOnlyRoots"), kinds) == made


def test_other_engines_make_none() -> None:
    assert not [each for each in kinds_of(["vap", "kyverno"], [template("ReadOnlyRoots")]) if each.late]


def test_a_constraint_is_loosened_where_it_says_what_it_does() -> None:
    kinds = kinds_of(["gatekeeper"], [template("A"), template("B"), template("C")])
    declared = [
        constraint("A"),
        constraint("B", enforcementAction="dryrun"),
        constraint("C", enforcementAction="deny"),
    ]
    ((kind, item, pointer),) = loosenings(declared, kinds)
    assert (kind.kind, item["kind"], pointer) == ("C", "C", ("spec", "enforcementAction"))


@pytest.mark.parametrize("kind", ["Pods", "Namespaces", "A/b", "", "../pods"])
def test_a_kind_that_is_no_name_of_its_own_is_refused(kind: str) -> None:
    with pytest.raises(BadSubmission, match="no name of its own"):
        check_late_kinds(kinds_of(["gatekeeper"], [template(kind)]), SPOKE_WATCHES, "policies")


class Served:
    """A spoke that serves a kind from the third look on, and whose watches are followed."""

    def __init__(self) -> None:
        self.kube = self.watches = self
        self.looks = 0
        self.followed: list[tuple[str, str]] = []

    def request(self, *_: object, **__: object) -> Answer:
        self.looks += 1
        return Answer(200 if self.looks > 2 else 404, {})

    def follow(self, resource: str, path: str) -> None:
        self.followed.append((resource, path))


def test_a_late_kind_is_followed_once_it_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graders.admission.latewatches._LOOK_EVERY_S", 0.01)
    spoke: Any = Served()

    def followed() -> None:
        if not spoke.followed:
            raise NotYet("it is not followed")

    with LateWatches({"dev": spoke}, kinds_of(["gatekeeper"], [template("ReadOnlyRoots")])):
        wait_for(followed, timeout_s=10.0)
    assert spoke.followed == [("readonlyroots", "/apis/constraints.gatekeeper.sh/v1beta1/readonlyroots")]


def test_a_spoke_has_its_kinds_from_the_beginning() -> None:
    names = {each["metadata"]["name"] for each in definitions_of(engines_named(["gatekeeper", "vap"]))}
    assert {"constrainttemplates.templates.gatekeeper.sh", "syncsets.syncset.gatekeeper.sh"} <= names
    assert POLICY_ENGINES["gatekeeper"].title == "Gatekeeper"


def test_its_webhook_fails_closed_and_leaves_the_system_alone() -> None:
    serving = WebhookServing(Path(), b"PEM", None)  # type: ignore[arg-type]
    made = Gatekeeper(None, None, (1234, 5678), serving)._configuration()  # type: ignore[arg-type]
    assert {each["failurePolicy"] for each in made["webhooks"]} == {"Fail"}
    admit = made["webhooks"][0]
    assert admit["clientConfig"]["url"] == "https://127.0.0.1:1234/v1/admit"
    assert {"*", "pods/ephemeralcontainers"} <= set(admit["rules"][0]["resources"])
    assert "kube-system" in str(admit["namespaceSelector"])
