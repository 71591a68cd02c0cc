"""What the API server must refuse, and what the operator must leave alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from graders.evidence.bundle import Bundle
from graders.evidence.records import WRITE_VERBS, Request
from graders.evidence.timeline import TrackRecord, of_the_house
from graders.judging import Facts, Findings, check
from graders.lab1.api import controller_uid, is_true, status_field
from graders.lab1.template import lost
from graders.lab1.trackrecord import JobsRecord, track_record

DEFAULTS: Mapping[str, object] = {
    "runPolicy.suspend": False,
    "runPolicy.backoffLimit": 3,
    "runPolicy.cleanPodPolicy": "None",
    "trainer.numNodes": 1,
    "trainer.restartPolicy": "OnFailure",
}

BAD = (
    "zero-nodes",
    "negative-backoff-limit",
    "unknown-restart-policy",
    "unknown-clean-pod-policy",
    "no-template",
    "zero-deadline",
    "negative-ttl",
)

_PRUNES = (
    "The schema does not know these fields, so the API server prunes them: under `template`, in metadata as "
    "well, write x-kubernetes-preserve-unknown-fields: true."
)


@check(
    "crd-contract",
    tracks=("crd",),
    hint="Defaults, minimums, enums and CEL rules belong in the schema.",
)
def check_crd_contract(bundle: Bundle, facts: Facts) -> None:
    """The CRD is structural, has status and defaults, refuses bad specs and edits of the template."""
    with Findings() as found:
        definition = TrackRecord(bundle, "crd").request("crd").response
        _expect_definition(found, definition)
        smallest = TrackRecord(bundle, "crd").request("create-smallest")
        if found.expect(smallest.code == 201, "the smallest job accepted", _answer(smallest)):
            for path, wanted in DEFAULTS.items():
                found.equal(f"default of spec.{path}:", wanted, _dig(smallest.response, f"spec.{path}"))
        for in_a_class in (r for r in bundle.requests if (r.track, r.name) == ("crd", "create-in-a-class")):
            path = "runPolicy.schedulingPolicy.minAvailable"
            found.equal(f"default of spec.{path}:", 1, _dig(in_a_class.response, f"spec.{path}"))
        refused = 0
        for case in BAD:
            answer = TrackRecord(bundle, "crd").request(f"bad-{case}")
            refused += found.expect(
                answer.code == 422, f"422 for a job with {case.replace('-', ' ')}", _answer(answer)
            )
        stored = TrackRecord(bundle, "crd").request("create-stored")
        if found.expect(stored.code == 201, "a suspended job accepted", _answer(stored)):
            _expect_kept(found, stored)
            edits = (r for r in bundle.requests if r.track == "crd" and r.name.startswith("edit-"))
            for answer in edits:
                case = answer.name.removeprefix("edit-")
                refused += found.expect(
                    answer.code == 422,
                    f"422 for a change of the template ({case})",
                    "200, and the label is gone: the CRD prunes it" if _pruned(answer) else _answer(answer),
                    _about_edit(answer, case, definition),
                )
            through_main = TrackRecord(bundle, "crd").request("status-through-main")
            found.expect(
                _dig(through_main.response, "status.restarts") != 77,
                "a status that only the status subresource can write",
                "a write to the main resource changed the status",
            )
        _expect_samples(found, bundle)
    facts["refused"] = refused


def _expect_samples(found: Findings, bundle: Bundle) -> None:
    """At least one sample is there, and each is a job that the submission's own CRD takes."""
    for mark in (mark for mark in bundle.marks if (mark.track, mark.name) == ("crd", "samples")):
        problem = str(mark.data["problem"])
        found.expect(not problem, "samples/*.yaml that can be read", problem)
        found.expect(
            mark.data["places"] or problem,
            "at least one MLTrainingJob in samples/*.yaml",
            "there is none",
            "Write the job that somebody would try first.",
        )
    for tried in bundle.requests:
        if tried.track == "crd" and tried.name.startswith("sample "):
            found.expect(tried.code == 201, f"the {tried.name} accepted by the CRD", _answer(tried))


def _expect_kept(found: Findings, stored: Request) -> None:
    """The CRD drops nothing of the template."""
    wanted, kept = (_dig(job, "spec.trainer.template") for job in (stored.body, stored.response))
    pruned = lost(wanted, kept) if isinstance(wanted, Mapping) and isinstance(kept, Mapping) else []
    found.expect(
        not pruned,
        "a CRD that keeps all of spec.trainer.template",
        f"of a stored job {'; '.join(pruned[:3])}",
        _PRUNES,
    )


def _expect_definition(found: Findings, crd: Mapping[str, Any]) -> None:
    true = {c["type"] for c in _dig(crd, "status.conditions") or () if c.get("status") == "True"}
    found.expect("Established" in true, "the CRD Established", "it is not")
    found.expect(
        "NonStructuralSchema" not in true, "a structural schema", "the API server calls it non-structural"
    )
    found.equal("scope", "Namespaced", _dig(crd, "spec.scope"))
    served = [v for v in _dig(crd, "spec.versions") or () if v.get("name") == "v1alpha1" and v.get("served")]
    if found.expect(served, "version v1alpha1 served", "it is not"):
        found.expect(
            "status" in (served[0].get("subresources") or {}),
            "the status subresource",
            "the CRD does not declare it",
            "Add subresources: {status: {}} to the version.",
        )


_ADDED = "spec.trainer.template.metadata.labels.added"


def _pruned(answer: Request) -> bool:
    """Whether the API server took a label of the template and kept nothing of it."""
    sent, kept = _dig(answer.body, _ADDED), _dig(answer.response, _ADDED)
    return answer.code == 200 and sent is not None and kept is None


def _about_edit(answer: Request, case: str, definition: Mapping[str, Any]) -> str:
    """What to do about an edit of the template that passed; nothing that the CRD has already."""
    if _pruned(answer):
        return (
            "Keep template.metadata whole, by x-kubernetes-preserve-unknown-fields: true or declared "
            "labels and annotations: no rule sees what is pruned before."
        )
    rule = next(_transition_rules(_dig(definition, "spec.versions")), "")
    if not rule:
        return "Make the template immutable with a CEL rule, and required: try null, too."
    if case == "removal":
        return f"The rule {rule!r} is not asked when its field goes: list template as required."
    return f"The rule {rule!r} lets it pass: have one on template that compares all of it, self == oldSelf."


def _transition_rules(schema: Any) -> Iterator[str]:
    """The CEL rules, anywhere in a schema, that compare with what was."""
    if isinstance(schema, Mapping):
        for rule in schema.get("x-kubernetes-validations") or ():
            if isinstance(rule, Mapping) and "oldSelf" in str(rule.get("rule")):
                yield " ".join(str(rule["rule"]).split())[:80]
        for value in schema.values():
            yield from _transition_rules(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _transition_rules(value)


def _answer(answer: Request) -> str:
    message = answer.response.get("message", "") if isinstance(answer.response, Mapping) else ""
    return f"{answer.code} {str(message)[:200]}".strip()


def _dig(value: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


@check(
    "isolation",
    tracks=("isolation", "stranger"),
    hint="A child is what the job's uid controls, in the job's namespace.",
)
def check_isolation(bundle: Bundle, facts: Facts) -> None:
    """Jobs of one name in two namespaces are independent, and pods of others are left alone."""
    story, stranger = track_record(bundle, "isolation"), track_record(bundle, "stranger")
    here = story.namespace
    with Findings() as found:
        _expect_left_alone(found, story)
        _expect_left_alone(found, stranger)
        before = {name: pod["uid"] for name, pod in story.mark("before").data["there"]["pods"].items()}
        after = {name: pod["uid"] for name, pod in story.mark("end").data["there"]["pods"].items()}
        found.equal(
            "pods of the twin in the other namespace, and of the job called as a pod is:", before, after
        )
        twin = story.job("twin", here)
        for _, job in story.statuses("twin", here):
            found.expect(
                not status_field(job, "restarts"),
                "a foreign pod's failure not counted",
                f"restarts is {status_field(job, 'restarts')}",
            )
        found.expect(twin.gone, "the deleted twin gone", "it is still there")
        _expect_wait(found, stranger)
    facts["foreign_pods"] = len(story.all("foreign-pod")) + len(stranger.all("foreign-pod"))


def _expect_left_alone(found: Findings, story: JobsRecord) -> None:
    for mark in story.all("foreign-pod"):
        lives = story.histories("pods", mark.data["namespace"])
        gone = next((life.gone for life in lives if life.uid == mark.data["uid"]), None)
        touched = [
            f"{event.verb} at {event.t:.1f} s"
            for event in story.audit_of("pods", mark.data["namespace"])
            if event.name == mark.data["pod"]
            # From then on the name is free, and the job's own pod may have it.
            and (gone is None or event.t < gone)
            and event.verb in WRITE_VERBS
            and (event.did != "create" or event.subresource)
            and event.ok
            and not event.dry_run
            and not of_the_house(story.bundle, event.user)
        ]
        found.expect(
            not touched,
            f"the foreign pod {mark.data['pod']} left alone",
            f"the operator wrote to it: {', '.join(touched)}",
        )


def _expect_wait(found: Findings, story: JobsRecord) -> None:
    """A job whose index is taken by a stranger waits, and takes the place when the stranger is gone."""
    left = story.mark("stranger-leaves").t
    wanted = 1 + len(story.all("foreign-pod"))
    own = [life for life in story.histories("pods") if controller_uid(life.first) == story.job("blocked").uid]
    for t, job in story.statuses("blocked"):
        if t < left and sum(life.at(t) is not None for life in own) < wanted:
            found.expect(
                not is_true(job, "Running"),
                "a job waiting while a foreign pod has the name of its child",
                "Running was True meanwhile",
            )
    there = [life.name for life in own if life.gone is None]
    found.expect(
        len(there) == wanted,
        f"all {wanted} pods once those of others are gone",
        f"pods {', '.join(sorted(there)) or 'none'}",
    )
