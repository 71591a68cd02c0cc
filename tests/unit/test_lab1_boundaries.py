"""crd-contract and isolation: each flaw in the record costs exactly its check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.model import Outcome, Status
from tests.unit.lab1_flaws import Flaw, assert_costs, every, outcomes_of
from tests.unit.lab1_recording import Mutation, Recording

CRD = "crd-contract"
ISOLATION = "isolation"


def _crd_condition(kind: str, status: str) -> Mutation:
    def mutate(r: Recording) -> None:
        crd = r.request("crd", "crd")["response"]
        kept = [c for c in crd["status"]["conditions"] if c["type"] != kind]
        crd["status"]["conditions"] = [*kept, {"type": kind, "status": status}]

    return mutate


def _version(**fields: object) -> Mutation:
    return lambda r: r.request("crd", "crd")["response"]["spec"]["versions"][0].update(fields)


def _scope(r: Recording) -> None:
    r.request("crd", "crd")["response"]["spec"]["scope"] = "Cluster"


def _answers(name: str, code: int) -> Mutation:
    return lambda r: r.request("crd", name).update(code=code)


def _no_default(path: str) -> Mutation:
    part, field = path.split(".")

    def mutate(r: Recording) -> None:
        del r.request("crd", "create-smallest")["response"]["spec"][part][field]

    return mutate


def _backoff_default(r: Recording) -> None:
    r.request("crd", "create-smallest")["response"]["spec"]["runPolicy"]["backoffLimit"] = 6


def _no_run_policy(r: Recording) -> None:
    del r.request("crd", "create-smallest")["response"]["spec"]["runPolicy"]


def _status_written(r: Recording) -> None:
    r.request("crd", "status-through-main")["response"]["status"] = {"restarts": 77}


def _no_gang_default(r: Recording) -> None:
    del r.request("crd", "create-in-a-class")["response"]["spec"]["runPolicy"]["schedulingPolicy"][
        "minAvailable"
    ]


def _pruned(r: Recording) -> None:
    """Of the template's metadata nothing is kept, so that a new label is no change of it."""
    r.request("crd", "create-stored")["response"]["spec"]["trainer"]["template"]["metadata"] = {}
    r.request("crd", "edit-label").update(code=200)


def _samples(places: list[str], problem: str = "") -> Mutation:
    return lambda r: r.mark("crd", "samples")["data"].update(places=places, problem=problem)


def _sample_refused(r: Recording) -> None:
    first = r.mark("crd", "samples")["data"]["places"][0]
    r.request("crd", f"sample {first}").update(code=422, response={"message": "numNodes: must be over 0"})


CRD_FLAWS = (
    Flaw(CRD, "no samples", _samples([]), "at least one MLTrainingJob in samples/*.yaml"),
    Flaw(CRD, "samples that are no YAML", _samples([], "samples/a.yaml:1: no YAML"), "can be read"),
    Flaw(CRD, "a sample refused", _sample_refused, "samples/distributed.yaml:2 accepted"),
    Flaw(CRD, "no default of minAvailable", _no_gang_default, "schedulingPolicy.minAvailable: None"),
    Flaw(CRD, "template's metadata pruned", _pruned, "metadata.annotations.example.com/data-set is null"),
    Flaw(CRD, "not established", _crd_condition("Established", "False"), "the CRD Established"),
    Flaw(CRD, "non-structural", _crd_condition("NonStructuralSchema", "True"), "a structural schema"),
    Flaw(CRD, "cluster-scoped", _scope, "scope Namespaced"),
    Flaw(CRD, "no status subresource", _version(subresources=None), "the status subresource"),
    Flaw(CRD, "version not served", _version(served=False), "v1alpha1 served"),
    Flaw(CRD, "other version", _version(name="v1"), "v1alpha1 served"),
    Flaw(CRD, "smallest job refused", _answers("create-smallest", 422), "the smallest job accepted"),
    Flaw(CRD, "suspended job refused", _answers("create-stored", 422), "a suspended job accepted"),
    Flaw(CRD, "other default", _backoff_default, "spec.runPolicy.backoffLimit: 6"),
    Flaw(CRD, "no object default", _no_run_policy, "default of spec.runPolicy.suspend: False"),
    Flaw(CRD, "status written through the main resource", _status_written, "only the status subresource"),
    *(
        Flaw(CRD, f"no default of {path}", _no_default(path), f"default of spec.{path}: None")
        for path in (
            "runPolicy.suspend",
            "runPolicy.backoffLimit",
            "runPolicy.cleanPodPolicy",
            "trainer.numNodes",
            "trainer.restartPolicy",
        )
    ),
    *(
        Flaw(CRD, f"accepts {case}", _answers(f"bad-{case}", 201), f"422 for a job with {words}")
        for case, words in (
            ("zero-nodes", "zero nodes"),
            ("negative-backoff-limit", "negative backoff limit"),
            ("unknown-restart-policy", "unknown restart policy"),
            ("unknown-clean-pod-policy", "unknown clean pod policy"),
            ("no-template", "no template"),
            ("zero-deadline", "zero deadline"),
            ("negative-ttl", "negative ttl"),
        )
    ),
    *(
        Flaw(
            CRD, f"accepts edit of {case}", _answers(f"edit-{case}", 200), f"change of the template ({case})"
        )
        for case in ("image", "label", "removal")
    ),
)


def _edit_hint(case: str, tmp_path: Path, *, rule: bool = True, pruned: bool = False) -> Outcome:
    """The outcome for an edit of the template that passed, with or without the reference's rule."""

    def flawed(r: Recording) -> None:
        answer = r.request("crd", f"edit-{case}")
        labels = {} if pruned else {"added": "later"}
        template = {"metadata": {"labels": labels}}
        answer.update(code=200, response={"spec": {"trainer": {"template": template}}})
        if not rule:
            crd = r.request("crd", "crd")["response"]
            text = json.dumps(crd["spec"]).replace("x-kubernetes-validations", "x-other")
            crd["spec"] = json.loads(text)

    return outcomes_of(flawed, tmp_path)[CRD]


def test_a_label_that_the_crd_prunes_is_named_and_no_rule_asked_for(tmp_path: Path) -> None:
    outcome = _edit_hint("label", tmp_path, pruned=True)
    assert "the label is gone: the CRD prunes it" in outcome.observed
    assert "Keep template.metadata whole" in outcome.hint
    assert "CEL rule" not in outcome.hint


@pytest.mark.parametrize("case", ["image", "label", "removal"])
def test_whoever_has_no_rule_is_told_to_write_one(case: str, tmp_path: Path) -> None:
    assert "immutable with a CEL rule" in _edit_hint(case, tmp_path, rule=False).hint


@pytest.mark.parametrize(
    ("case", "says"), [("image", "compares all of it"), ("label", "compares all"), ("removal", "as required")]
)
def test_whoever_has_a_rule_is_told_what_it_does_not_do(case: str, says: str, tmp_path: Path) -> None:
    hint = _edit_hint(case, tmp_path).hint
    assert "The rule 'self == oldSelf'" in hint
    assert says in hint


def _touch(track: str, verb: str, pod: str, **more: object) -> Mutation:
    return lambda r: r.write(track, verb, "pods", pod, **more)


def _twin_pod_replaced(r: Recording) -> None:
    pods = r.mark(ISOLATION, "end")["data"]["there"]["pods"]
    pods["twin-0"]["uid"] = "another"


def _twin_pod_gone(r: Recording) -> None:
    del r.mark(ISOLATION, "end")["data"]["there"]["pods"]["twin-1"]


def _decoy_counted(r: Recording) -> None:
    r.jobs(ISOLATION, "twin")[-2]["status"]["restarts"] = 1


def _twin_stays(r: Recording) -> None:
    r.remove("objects", r.seen(ISOLATION, "mltrainingjobs", "twin")[-1])


def _runs_incomplete(r: Recording) -> None:
    r.set_condition(
        "stranger", "blocked", "Running", "True", until=r.mark("stranger", "stranger-leaves")["t"]
    )


def _place_not_taken(r: Recording) -> None:
    for sighting in r.seen("stranger", "pods", "blocked-1"):
        if sighting["object"]["metadata"].get("ownerReferences"):
            r.remove("objects", sighting)


ISOLATION_FLAWS = (
    Flaw(ISOLATION, "decoy deleted", _touch(ISOLATION, "delete", "decoy"), "foreign pod decoy left alone"),
    Flaw(ISOLATION, "decoy adopted", _touch(ISOLATION, "patch", "decoy"), "the operator wrote to it: patch"),
    Flaw(
        ISOLATION,
        "decoy's status written",
        _touch(ISOLATION, "update", "decoy", subresource="status"),
        "update",
    ),
    Flaw(ISOLATION, "decoy evicted", _touch(ISOLATION, "create", "decoy", subresource="eviction"), "decoy"),
    Flaw(
        ISOLATION, "stranger deleted", _touch("stranger", "delete", "blocked-1"), "pod blocked-1 left alone"
    ),
    Flaw(ISOLATION, "twin's pod replaced", _twin_pod_replaced, "pods of the twin in the other namespace"),
    Flaw(ISOLATION, "twin's pod lost", _twin_pod_gone, "pods of the twin in the other namespace"),
    Flaw(ISOLATION, "decoy's failure counted", _decoy_counted, "restarts is 1"),
    Flaw(ISOLATION, "deleted twin stays", _twin_stays, "the deleted twin gone"),
    Flaw(ISOLATION, "running with a foreign pod", _runs_incomplete, "Running was True meanwhile"),
    Flaw(ISOLATION, "place never taken", _place_not_taken, "pods once those of others are gone"),
)


@every(CRD_FLAWS)
def test_a_flawed_crd_costs_the_crd_contract(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


def test_of_what_the_schema_prunes_no_rule_is_asked(tmp_path: Path) -> None:
    hint = outcomes_of(_pruned, tmp_path)[CRD].hint
    assert "x-kubernetes-preserve-unknown-fields" in hint
    assert "CEL" not in hint


@every(ISOLATION_FLAWS)
def test_a_disturbed_neighbour_costs_isolation(flaw: Flaw, tmp_path: Path) -> None:
    assert_costs(flaw, tmp_path)


@pytest.mark.parametrize(
    "more",
    [
        {"user": "kubeproof-grader"},
        {"user": "kwok"},
        {"user": "system:serviceaccount:kube-system:generic-garbage-collector"},
        {"user": "system:kube-scheduler"},
        {"code": 403},
        {"code": 409},
        {"dry_run": True},
    ],
    ids=["grader", "kubelet", "garbage collector", "scheduler", "denied", "conflict", "dry run"],
)
def test_what_the_operator_did_not_do_to_a_foreign_pod_costs_nothing(
    more: dict[str, object], tmp_path: Path
) -> None:
    outcomes = outcomes_of(_touch(ISOLATION, "delete", "decoy", **more), tmp_path)
    assert outcomes[ISOLATION].status is Status.PASSED


def test_another_service_account_that_deletes_the_decoy_is_not_of_the_house(tmp_path: Path) -> None:
    user = "system:serviceaccount:mltj-system:accomplice"
    outcomes = outcomes_of(_touch(ISOLATION, "delete", "decoy", user=user), tmp_path)
    assert outcomes[ISOLATION].status is Status.FAILED
