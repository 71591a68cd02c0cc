"""Kinds of policies, of what binds them and of what they are made from: one table for all engines; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graders.kube.pointers import at_pointer

Pointer = tuple[str | int, ...]

VAP, KYVERNO, GATEKEEPER = "vap", "kyverno", "gatekeeper"
"""What a submission calls whoever judges: the API server itself, or an engine beside it."""


@dataclass(frozen=True)
class PolicyKind:
    """A kind of object that counts as a policy, wherever policies are watched, counted or changed.

    Where it can be loosened, `actions` are the places at which its action may be declared, the first that
    is counts, and `loose` is the value there that denies nothing any more.
    """

    engine: str
    kind: str
    api_version: str
    resource: str
    namespaced: bool = False
    actions: tuple[Pointer, ...] = ()
    loose: Any = None
    late: bool = False
    """Its definition comes to a cluster by another policy that is stored there."""

    @property
    def path(self) -> str:
        """The collection in all namespaces."""
        return f"/apis/{self.api_version}/{self.resource}"


_ADMISSION = "admissionregistration.k8s.io/v1"
_CEL, _LEGACY = "policies.kyverno.io/v1", "kyverno.io/v1"
_VALIDATION_ACTIONS: tuple[Pointer, ...] = (("spec", "validationActions"),)
_FAILURE_ACTIONS: tuple[Pointer, ...] = (
    ("spec", "validationFailureAction"),
    ("spec", "rules", 0, "validate", "failureAction"),
    ("spec", "rules", 0, "verifyImages", 0, "failureAction"),
)

POLICY_KINDS: tuple[PolicyKind, ...] = (
    PolicyKind(VAP, "ValidatingAdmissionPolicy", _ADMISSION, "validatingadmissionpolicies"),
    PolicyKind(
        VAP, "ValidatingAdmissionPolicyBinding", _ADMISSION, "validatingadmissionpolicybindings",
        actions=_VALIDATION_ACTIONS, loose=["Audit"],
    ),
    PolicyKind(
        KYVERNO, "ValidatingPolicy", _CEL, "validatingpolicies",
        actions=_VALIDATION_ACTIONS, loose=["Audit"],
    ),
    PolicyKind(
        KYVERNO, "ImageValidatingPolicy", _CEL, "imagevalidatingpolicies",
        actions=_VALIDATION_ACTIONS, loose=["Audit"],
    ),
    PolicyKind(KYVERNO, "MutatingPolicy", _CEL, "mutatingpolicies"),
    PolicyKind(KYVERNO, "GeneratingPolicy", _CEL, "generatingpolicies"),
    PolicyKind(KYVERNO, "DeletingPolicy", _CEL, "deletingpolicies"),
    PolicyKind(
        KYVERNO, "NamespacedValidatingPolicy", _CEL, "namespacedvalidatingpolicies", namespaced=True,
        actions=_VALIDATION_ACTIONS, loose=["Audit"],
    ),
    PolicyKind(
        KYVERNO, "NamespacedImageValidatingPolicy", _CEL, "namespacedimagevalidatingpolicies",
        namespaced=True, actions=_VALIDATION_ACTIONS, loose=["Audit"],
    ),
    PolicyKind(
        KYVERNO, "ClusterPolicy", _LEGACY, "clusterpolicies", actions=_FAILURE_ACTIONS, loose="Audit"
    ),
    PolicyKind(
        KYVERNO, "Policy", _LEGACY, "policies", namespaced=True, actions=_FAILURE_ACTIONS, loose="Audit"
    ),
    PolicyKind(GATEKEEPER, "ConstraintTemplate", "templates.gatekeeper.sh/v1", "constrainttemplates"),
)  # fmt: skip
"""In the order in which one is looked for whose action can be changed."""


def kinds_of(engines: Sequence[str], declared: Sequence[Mapping[str, Any]] = ()) -> tuple[PolicyKind, ...]:
    """Kinds that policies of these engines may be of; a template among what is `declared` adds its own.

    The API server's own kinds are always among them: they work whatever the submission names.
    """
    found = [each for each in POLICY_KINDS if each.engine == VAP or each.engine in engines]
    if GATEKEEPER in engines:
        found += [_constraints_of(item) for item in declared if item.get("kind") == "ConstraintTemplate"]
    return tuple(found)


def _constraints_of(template: Mapping[str, Any]) -> PolicyKind:
    """The kind that a template of Gatekeeper makes: its name in small letters is the resource."""
    kind = str(at_pointer(template, ("spec", "crd", "spec", "names", "kind")))
    return PolicyKind(
        GATEKEEPER, kind, "constraints.gatekeeper.sh/v1beta1", kind.lower(),
        actions=(("spec", "enforcementAction"),), loose="dryrun", late=True,
    )  # fmt: skip


def kind_of(item: Mapping[str, Any], kinds: Sequence[PolicyKind] = POLICY_KINDS) -> PolicyKind | None:
    """The kind of an object by its group and name, whatever its version; None: it is no policy."""
    group = str(item.get("apiVersion", "")).partition("/")[0]
    for each in kinds:
        if (each.api_version.partition("/")[0], each.kind) == (group, item.get("kind")):
            return each
    return None


def namespace_of(item: Mapping[str, Any], kind: PolicyKind, otherwise: str) -> str:
    """Where a policy is, `otherwise` where it does not say; empty for one that is in no namespace."""
    return str(item["metadata"].get("namespace", otherwise)) if kind.namespaced else ""


def loosenings(
    declared: Sequence[Mapping[str, Any]], kinds: Sequence[PolicyKind] = POLICY_KINDS
) -> Iterator[tuple[PolicyKind, Mapping[str, Any], Pointer]]:
    """Policies that declare an action other than the loose one, each with the place where it stands."""
    for item in declared:
        kind = kind_of(item, kinds)
        if kind is None:
            continue
        for pointer in kind.actions:
            action = at_pointer(item, pointer)
            if action is not None:
                if action != kind.loose:
                    yield kind, item, pointer
                break
