"""What the cluster's policies let pass: the operator's Deployment, and the pods it makes."""

import re
from collections.abc import Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import Mark, Request
from graders.evidence.timeline import TrackRecord
from graders.faults import InfraFault
from graders.judging import Facts, Findings, check
from graders.lab1.policies import compliant_template
from graders.lab1.template import lost
from graders.lab1.trackrecord import JobsRecord, track_record

TRACK = "policies"

VIOLATIONS = "pod-security.kubernetes.io/audit-violations"
"""The audit annotation of a request that Pod Security would have refused."""

_DENIED = frozenset({403, 422})
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)", re.DOTALL
)

_WARNING = re.compile(
    r"Validation failed for ValidatingAdmissionPolicy '([^']+)' with binding '[^']+': (.*)", re.DOTALL
)


@check(
    "policy-gates",
    tracks=(TRACK,),
    hint="In a cluster of `kubeproof cluster up` with labs/lab1/policies/admission applied, in a namespace "
    "with the labels that the lab text names, `kubectl apply --dry-run=server -f FILE` warns of all of it.",
)
def check_policy_gates(bundle: Bundle, facts: Facts) -> None:
    """The Deployment and the pods the operator makes pass Pod Security restricted and the policies."""
    story = track_record(bundle, TRACK)
    refusals = _Refusals()
    with Findings() as found:
        subjects = story.all("subject")
        facts["subjects"] = len(subjects)
        _expect_deployment(found, bundle)
        for subject in subjects:
            _take_answer(refusals, bundle, subject)
        _take_annotations(refusals, story)
        for reason, whose in refusals.items():
            found.miss(
                f"{', '.join(whose)}: {reason}",
                "no refusal by Pod Security restricted and the course's policies",
            )
        _expect_unweakened(found, story, subjects)


class _Refusals(dict[str, dict[str, None]]):
    """Why something was refused, and to which subjects that was said."""

    def add(self, subject: str, reason: str) -> None:
        """Note one; the same reason for several subjects is told once."""
        self.setdefault(reason, {})[subject] = None


def _expect_deployment(found: Findings, bundle: Bundle) -> None:
    """A Deployment runs as the operator: others could be as compliant as they like."""
    _, _, namespace, account = bundle.manifest.learner.split(":")
    given = [
        r.body
        for r in bundle.requests
        if (r.track, r.name) == ("install", "apply") and r.path.startswith("Deployment/")
    ]
    accounts = [
        str(_at(each, "spec", "template", "spec", "serviceAccountName") or "default")
        for each in given
        if _at(each, "metadata", "namespace") == namespace
    ]
    found.expect(
        account in accounts,
        f"a Deployment in {namespace} whose pods run as ServiceAccount {account}",
        f"its Deployments run as {', '.join(accounts)}" if accounts else "no Deployment there",
        "Add it to deploy/: it is how your operator would run in the cluster.",
    )


def _take_answer(refusals: _Refusals, bundle: Bundle, subject: Mark) -> None:
    """What the API server said of a subject: where the first policy refuses, and where all of them warn."""
    name, title = str(subject.data["subject"]), str(subject.data["title"])
    if not subject.data["stored"]:
        refusals.add(title, _message(TrackRecord(bundle, TRACK).request(f"store/{name}")))
        return
    answer = TrackRecord(bundle, TRACK).request(f"admit/{name}")
    if answer.code in _DENIED:
        refusals.add(title, _reason(_message(answer)))
    elif answer.code != 201:
        raise InfraFault(f"asked whether it admits {title}, the API server said {answer.code}")
    for asked in bundle.requests:
        if (asked.track, asked.name) == (TRACK, f"store/{name}"):
            for policy, message in filter(None, map(_warned, asked.warnings)):
                refusals.add(title, f"{policy}: {message}")


def _take_annotations(refusals: _Refusals, story: JobsRecord) -> None:
    """The API server's own admission judged every request for a pod as it came from the operator."""
    learner = story.bundle.manifest.learner
    for event in story.audit_of("pods", story.namespace):
        if event.user == learner and (violations := event.annotations.get(VIOLATIONS)):
            title = f"the operator's pod {event.name}"
            refusals.add(title, violations.replace("would violate", "violates"))


def _warned(warning: str) -> tuple[str, str] | None:
    """The policy that warns and what it says, unless something else warns."""
    found = _WARNING.fullmatch(warning)
    return (found[1], found[2]) if found else None


def _reason(message: str) -> str:
    """What is wrong, without the name that the grader gave the subject."""
    if policy := _POLICY.search(message):
        return f"{policy[1]}: {policy[2]}"
    return "violates " + message.partition(" violates ")[2] if " violates " in message else message


def _expect_unweakened(found: Findings, story: JobsRecord, subjects: list[Mark]) -> None:
    made = {str(s.data["uid"]) for s in subjects if "uid" in s.data}
    pods = [life for life in story.histories("pods") if life.uid in made]
    learner = story.bundle.manifest.learner
    refused = [
        event
        for event in story.audit_of("pods", story.namespace)
        if event.user == learner and event.verb in ("create", "patch") and event.code == 403
    ]
    found.expect(
        pods,
        "a pod made from a compliant template",
        f"none; the API server refused: {_at(refused[0].response, 'message')}" if refused else "none",
        "Mend what the refusal names."
        if refused
        else "No pod was there to judge: first make creates-pods pass.",
    )
    template = {"spec": compliant_template()["spec"]}
    weakened: dict[tuple[str, ...], dict[str, None]] = {}
    for life in pods:
        # Variables are no matter of policy.
        weakened.setdefault(tuple(lost(template, life.first, aside={"env"})), {})[life.name] = None
    for fields, names in weakened.items():
        found.expect(
            not fields,
            "pods to keep all that their template sets",
            f"{', '.join(names)}: {'; '.join(fields[:4])}{' …' if len(fields) > 4 else ''}",
            "Copy the template's pod spec as a whole, and add to it.",
        )


def _message(answer: Request) -> str:
    return str(_at(answer.response, "message") or f"code {answer.code}")[:800]


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
