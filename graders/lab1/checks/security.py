"""What the operator may do, against what it did."""

from graders.evidence.bundle import Bundle
from graders.judging import Facts, Findings, check
from graders.lab1.rights import FORBIDDEN_VERBS, Right, granted, in_list, used
from graders.lab1.trackrecord import track_record

SHOWN = 6


@check("least-privilege", tracks=("run",), hint="Grant what the operator uses, name by name.")
def check_least_privilege(bundle: Bundle, facts: Facts) -> None:
    """The operator is never denied anything, and is granted nothing it has no use for."""
    track_record(bundle, "run")
    user = bundle.manifest.learner
    _, _, namespace, account = user.split(":")
    mine = [event for event in bundle.audit if event.user == user]
    denied = sorted(
        {
            f"{event.verb} {event.resource}{'/' + event.subresource if event.subresource else ''}"
            for event in mine
            if event.annotations.get("authorization.k8s.io/decision") == "forbid"
        }
    )
    rights = granted(bundle, namespace, account)
    needed = used(mine)
    facts["requests"] = len(mine)
    facts["rights_granted"] = len(rights)
    with Findings() as found:
        found.expect(
            mine, "requests by the operator to judge by", "it made none", "The operator must run first."
        )
        found.expect(
            not denied,
            "no request of the operator denied",
            f"denied: {', '.join(denied[:SHOWN])}",
            "Grant what it needs, or do not ask for it.",
        )
        for right in rights:
            if "*" in (right.group, right.resource, right.verb):
                found.miss(f"{right} is granted by {right.source}", "no wildcards")
            elif right.resource.split("/")[0] == "secrets" or right.verb in FORBIDDEN_VERBS:
                found.miss(
                    f"{right} is granted by {right.source}", "no secrets, escalate, bind or impersonate"
                )
            elif not in_list(right, namespace) and not _was_used(right, needed):
                found.miss(
                    f"{right} is granted by {right.source} and was never used",
                    "only rights that are used or on the list in the lab text",
                )


def _was_used(right: Right, needed: frozenset[tuple[str, str, str]]) -> bool:
    return (right.group, right.resource, right.verb) in needed
