"""An operator at rest writes nothing, and the way to a spec does not show in the children."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graders.evidence.manifest import Calibration
from graders.faults import InfraFault, Unmet
from graders.lab1.api import REPLICA_INDEX
from graders.lab1.checks.steadiness import check_quiet, check_random_walk
from graders.lab1.walk import FIRST_NODES, MOST_NODES, Walk, merged, walker
from tests.unit.lab1_telling import JOBS, Object, Telling, job, pod, service

WATCHING, POKE, END = 10.0, 22.0, 26.0
EVERY_MOVE = frozenset({"grow", "shrink", "pause"})

# --- quiet -----------------------------------------------------------------------------------------


def rested(*, mark: str = "settled") -> Telling:
    telling = Telling("quiet")
    telling.write(2.0, "create", "pods", "runs-0", code=201)
    telling.mark(WATCHING - 0.1, mark, namespace="here")
    telling.mark(WATCHING, "watching", namespace="here")
    telling.mark(POKE, "poke", namespace="here", job="runs")
    telling.mark(END, "end", namespace="here")
    return telling


def patches(telling: Telling, since: float, count: int, **more: Any) -> Telling:
    for number in range(count):
        telling.write(since + 0.1 * number, "patch", JOBS, "runs", **{"subresource": "status", **more})
    return telling


@pytest.mark.parametrize(("at_rest", "after"), [(0, 0), (1, 2)])
def test_few_writes_are_quiet(at_rest: int, after: int, tmp_path: Path) -> None:
    telling = patches(patches(rested(), WATCHING + 1, at_rest), POKE + 0.1, after)
    facts = telling.judge(check_quiet, tmp_path)
    assert (facts["writes_at_rest"], facts["writes_after_poke"]) == (at_rest, after)


def test_a_second_write_at_rest_is_told_with_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(Unmet) as caught:
        patches(rested(), WATCHING + 1, 2).judge(check_quiet, tmp_path)
    assert caught.value.observed == "2 writes: 2 × patch mltrainingjobs/runs/status"
    assert "12 s" in caught.value.expected


def test_a_third_write_after_the_annotation_is_too_many(tmp_path: Path) -> None:
    with pytest.raises(Unmet, match="3 writes") as caught:
        patches(rested(), POKE + 0.1, 3).judge(check_quiet, tmp_path)
    assert "annotation" in caught.value.hint


def test_refused_writes_count(tmp_path: Path) -> None:
    with pytest.raises(Unmet):
        patches(rested(), WATCHING + 1, 2, code=409).judge(check_quiet, tmp_path)


@pytest.mark.parametrize(
    "more",
    [
        {"resource": "events"},
        {"resource": "leases"},
        {"namespace": "elsewhere"},
        {"dry_run": True},
        {"verb": "get"},
    ],
    ids=str,
)
def test_events_leases_other_namespaces_dry_runs_and_reads_do_not_count(
    more: dict[str, Any], tmp_path: Path
) -> None:
    telling = rested()
    for number in range(5):
        wanted = {"verb": "patch", "resource": JOBS, "name": "runs", **more}
        telling.write(WATCHING + 1 + number, **wanted)
    assert telling.judge(check_quiet, tmp_path)["writes_at_rest"] == 0


def test_what_was_written_before_the_window_and_after_it_does_not_count(tmp_path: Path) -> None:
    telling = patches(patches(rested(), WATCHING - 2, 9), END + 0.1, 9)
    assert telling.judge(check_quiet, tmp_path)["writes_after_poke"] == 0


def test_an_operator_that_answers_a_stir_of_the_harness_is_not_blamed(tmp_path: Path) -> None:
    telling = patches(rested(), WATCHING + 1, 3)
    telling.write(WATCHING + 0.5, "patch", "pods", "runs-0", user="kwok", subresource="status")
    with pytest.raises(InfraFault, match="kwok: patch pods runs-0"):
        telling.judge(check_quiet, tmp_path)


def test_one_that_never_rested_set_the_stir_off_itself(tmp_path: Path) -> None:
    telling = patches(rested(mark="restless"), WATCHING + 1, 3)
    telling.write(WATCHING + 0.5, "patch", "pods", "runs-0", user="kwok", subresource="status")
    with pytest.raises(Unmet):
        telling.judge(check_quiet, tmp_path)


# --- random-walk: the judging ------------------------------------------------------------------------

RESIZED = 8.0
SPACES = {"": "here", "fresh": "there", "again": "yonder"}
Change = Callable[[Object], object]


def walked(
    change: Change = lambda _: None, *, everywhere: Change = lambda _: None, born: float = 9.5
) -> Telling:
    """Two pods and a Service in three namespaces; `change` is made to pod 1 of the walked job."""
    telling = Telling("random-walk", fresh="there", again="yonder")
    telling.mark(3.0, "walk", job="roams", seed="here/roams", moves=[], steps=[])
    telling.mark(5.0, "step", job="roams", spec={"trainer": {"numNodes": 4}})
    telling.mark(RESIZED, "step", job="roams", spec={"trainer": {"numNodes": 2}})
    telling.mark(9.0, "step", job="roams", spec={"runPolicy": {"backoffLimit": 2}})
    for space in SPACES.values():
        owner = job("roams", space)
        telling.see(2.0, JOBS, owner, kind="ADDED")
        children = [pod(owner, 0), pod(owner, 1), service(owner)]
        for child in children:
            everywhere(child)
        if space == "here":
            change(children[1])
        for child, resource in zip(children, ("pods", "pods", "services"), strict=True):
            telling.see(born, resource, child, kind="ADDED")
    telling.mark(20.0, "end", namespace="here")
    return telling


def set_env(name: str, value: str) -> Change:
    def change(child: Object) -> None:
        if "containers" in child["spec"]:
            env = child["spec"]["containers"][0]["env"]
            env[:] = [entry for entry in env if entry["name"] != name] + [{"name": name, "value": value}]

    return change


def set_label(name: str, value: str) -> Change:
    return lambda child: child["metadata"].setdefault("labels", {}).update({name: value})


def test_equal_children_are_equal_whatever_the_server_gave_them(tmp_path: Path) -> None:
    facts = walked().judge(check_random_walk, tmp_path)
    assert facts["children_roams"] == 3
    assert facts["seed_roams"] == "here/roams"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_label("generation", "7"), "labels.generation '7'"),
        (lambda pod: pod["metadata"]["labels"].clear(), "replica-index missing"),
        (
            lambda pod: pod["metadata"]["ownerReferences"].append({"kind": "Job", "name": "x"}),
            "owners[x].kind",
        ),
        (lambda pod: pod["metadata"]["ownerReferences"][0].update(controller=False), "controller False"),
        (lambda pod: pod["spec"].update(priorityClassName="low"), "spec.priorityClassName 'low'"),
        (lambda pod: pod["metadata"]["labels"].update({REPLICA_INDEX: "7"}), "Pod roams-7"),
        (set_env("PET_NNODES", "4"), "env[PET_NNODES].value '4'"),
    ],
)
def test_a_child_that_tells_of_the_way_is_a_loss(change: Change, says: str, tmp_path: Path) -> None:
    with pytest.raises(Unmet) as caught:
        walked(change).judge(check_random_walk, tmp_path)
    assert says in caught.value.observed


def test_a_service_left_from_an_earlier_size_is_a_loss(tmp_path: Path) -> None:
    telling = walked()
    owner = job("roams")
    ports = [{"name": "rendezvous", "port": 29500}, {"name": "worker-3", "port": 29504}]
    telling.see(10.0, "services", service(owner, ports=ports))
    with pytest.raises(Unmet, match="worker-3"):
        telling.judge(check_random_walk, tmp_path)


def test_a_pod_too_many_is_a_loss(tmp_path: Path) -> None:
    telling = walked()
    telling.see(4.0, "pods", pod(job("roams"), 2), kind="ADDED")
    with pytest.raises(Unmet, match="roams-2"):
        telling.judge(check_random_walk, tmp_path)


@pytest.mark.parametrize("name", ["PET_NNODES", "WORLD_SIZE"])
def test_a_survivor_keeps_its_variables(name: str, tmp_path: Path) -> None:
    walked(set_env(name, "4"), born=RESIZED - 1).judge(check_random_walk, tmp_path)


@pytest.mark.parametrize("name", ["PET_NODE_RANK", "PET_MASTER_ADDR", "LEARNING_RATE"])
def test_a_survivor_s_rank_address_and_template_are_no_matter_of_size(name: str, tmp_path: Path) -> None:
    with pytest.raises(Unmet, match=name):
        walked(set_env(name, "4"), born=RESIZED - 1).judge(check_random_walk, tmp_path)


def test_the_grace_for_a_pod_that_was_under_way_stretches_with_the_machine(tmp_path: Path) -> None:
    telling = walked(set_env("PET_NNODES", "4"), born=RESIZED + 2)
    telling.judge(check_random_walk, tmp_path / "slow", calibration=Calibration(3.0, 30.0))
    with pytest.raises(Unmet):
        telling.judge(check_random_walk, tmp_path / "fast", calibration=Calibration(1.0, 10.0))


def test_names_of_the_job_s_own_place_are_no_difference(tmp_path: Path) -> None:
    def tell_place(child: Object) -> None:
        meta = child["metadata"]
        set_label("place", f"{meta['namespace']}/{meta['ownerReferences'][0]['uid']}")(child)

    walked(everywhere=tell_place).judge(check_random_walk, tmp_path)


def test_what_differs_between_two_fresh_jobs_is_chance(tmp_path: Path) -> None:
    ports = iter(range(30000, 30100))

    def open_another(child: Object) -> None:
        set_env("PORT", str(next(ports)))(child)

    walked(everywhere=open_another).judge(check_random_walk, tmp_path)


def test_labels_of_the_node_are_no_difference(tmp_path: Path) -> None:
    walked(set_label("topology.kubernetes.io/zone", "zone-b")).judge(check_random_walk, tmp_path)


def test_the_order_of_named_items_is_no_difference(tmp_path: Path) -> None:
    walked(lambda pod: pod["spec"]["containers"][0]["env"].reverse()).judge(check_random_walk, tmp_path)


# --- random-walk: the walk ---------------------------------------------------------------------------


def replay(walk: Walk) -> dict[str, Any]:
    spec: dict[str, Any] = walker("", "")["spec"]
    for step in walk.steps:
        spec = merged(spec, step.patch)
    return spec


def test_the_same_seed_leads_the_same_way_and_another_elsewhere() -> None:
    def steps(seed: str) -> list[Any]:
        return Walk(seed, EVERY_MOVE, ends_paused=False).steps

    assert steps("a") == steps("a")
    assert len({str(steps(seed)) for seed in "abcdef"}) > 1


@given(st.text(max_size=8), st.frozensets(st.sampled_from(sorted(EVERY_MOVE))), st.booleans())
def test_a_walk_ends_with_a_job_that_runs(seed: str, moves: frozenset[str], ends_paused: bool) -> None:
    walk = Walk(seed, moves, ends_paused=ends_paused)
    assert replay(walk) == walk.spec
    assert walk.spec["runPolicy"]["suspend"] is False
    assert 1 <= walk.nodes <= MOST_NODES


@given(st.text(max_size=8), st.booleans())
def test_a_walk_makes_only_moves_that_the_operator_follows(seed: str, ends_paused: bool) -> None:
    growing = Walk(seed, frozenset({"grow"}), ends_paused=ends_paused)
    sizes = [FIRST_NODES, *(s.patch["trainer"]["numNodes"] for s in growing.steps if "trainer" in s.patch)]
    assert sizes == sorted(sizes)
    assert not any(step.patch.get("runPolicy", {}).get("suspend") for step in growing.steps)


@given(st.text(max_size=8), st.sampled_from(["grow", "shrink"]), st.booleans())
def test_a_walk_does_not_end_where_it_began(seed: str, move: str, ends_paused: bool) -> None:
    for moves in (frozenset({move}), EVERY_MOVE):
        assert Walk(seed, moves, ends_paused=ends_paused).nodes != FIRST_NODES


@given(st.text(max_size=8))
def test_a_walk_that_ends_paused_changes_size_while_there_are_no_pods(seed: str) -> None:
    pause, resize, resume = Walk(seed, EVERY_MOVE, ends_paused=True).steps[-3:]
    assert pause.patch == {"runPolicy": {"suspend": True}}
    assert pause.rests
    assert "trainer" in resize.patch
    assert resume.patch == {"runPolicy": {"suspend": False}}


def test_a_merge_patch_removes_what_is_none() -> None:
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": 3}}) == {"a": {"c": 2, "d": 3}}
