"""What prod lets in while what its policies need is away, and soon after."""

from collections.abc import Iterator, Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.judging import Facts, Findings, check
from graders.kube.pointers import at_pointer
from graders.lab2.names import CLOSED, NAMESPACE
from graders.lab2.reading import FleetRecord, attempts_of, denied, policy_kinds


@check("fail-closed", tracks=(CLOSED,), hint="failurePolicy: Fail, and parameterNotFoundAction: Deny.")
def check_fail_closed(bundle: Bundle, facts: Facts) -> None:
    """While what the policies of prod need is away they deny, and no failure of theirs lets anything in."""
    record = FleetRecord(bundle, CLOSED)
    killed, taken = record.all("killed"), record.all("taken-away")
    since = record.need("killed" if killed else "taken-away").t
    tried = attempts_of(bundle, "closed")
    facts["attempts"] = len(tried)
    with Findings() as found:
        policies = [
            (kind, name, policy)
            for resource, kind in policy_kinds(bundle).items()
            for namespace in ("", NAMESPACE)
            for name, policy in record.at("prod", resource, namespace, since).items()
        ]
        found.expect(policies, "policies on prod", "there are none")
        for kind, name, policy in policies:
            for written in _failure_policies(policy):
                found.equal(f"failurePolicy of {kind} {name} is", "Fail", written)
        for each in tried:
            dead = killed and each.t < record.need("started").t
            away = "what judges is dead" if dead else "parameters are away"
            case = f"{each.case.partition('/')[2]} ({each.rule}) denied while {away}"
            found.expect(denied(each), case, f"answer {each.code}")
        for mark in taken:
            facts["parameters"] = list(mark.data["parameters"])
        if killed:
            _found_after(bundle, record, found, facts)
        record.need("end")


def _found_after(bundle: Bundle, record: FleetRecord, found: Findings, facts: Facts) -> None:
    """What holds once what judges was started again."""
    started, admitted = record.need("started").t, record.all("admitted")
    limit_s = _ADMITS_WITHIN_S * record.limits.scale
    took_s = admitted[0].t - started if admitted else None
    seen = "it never was" if took_s is None else f"it took {took_s:.1f} s"
    in_time = took_s is not None and took_s <= limit_s
    found.expect(in_time, f"a good pod admitted within {limit_s:.0f} s of the start", seen)
    if took_s is not None:
        facts["admits_after_s"] = round(took_s, 1)
    for each in attempts_of(bundle, "closed-after"):
        case = f"{each.case.partition('/')[2]} ({each.rule}) denied after the start"
        found.expect(denied(each), case, f"answer {each.code}")


def _failure_policies(policy: Mapping[str, Any]) -> Iterator[str]:
    """What a policy says is to happen when it fails or cannot be asked; where it says nothing, Fail.

    A template of Gatekeeper says it for each of its codes.
    """
    for place in _FAILURE_POLICIES:
        yield at_pointer(policy, place) or "Fail"
    for target in at_pointer(policy, ("spec", "targets")) or ():
        for code in at_pointer(target, ("code",)) or ():
            yield at_pointer(code, ("source", "failurePolicy")) or "Fail"


_ADMITS_WITHIN_S = 20.0
_FAILURE_POLICIES = (("spec", "failurePolicy"), ("spec", "webhookConfiguration", "failurePolicy"))
"""Where policies say what is to happen when they cannot be asked; the second is ClusterPolicy's."""
