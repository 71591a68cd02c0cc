import pytest
from builders import a_pod


@pytest.mark.parametrize(
    ("name", "index"),
    [("train-0", 0), ("train-12", 12), ("train-01", None), ("train-x", None), ("train-²", None)],
)
def test_the_index_is_in_the_name(name: str, index: int | None) -> None:
    assert a_pod(name).index == index


def test_the_first_non_zero_exit_code_counts() -> None:
    assert a_pod(exit_codes=(0, 137, 1)).exit_code == 137
    assert a_pod(exit_codes=(0,)).exit_code is None
    assert a_pod().exit_code is None


def test_eviction_is_not_the_pods_own_failure() -> None:
    conditions = [{"type": "DisruptionTarget", "status": "True"}]
    assert a_pod(phase="Failed", status={"reason": "Evicted"}).disrupted
    assert a_pod(phase="Failed", status={"conditions": conditions}).disrupted
    assert not a_pod(phase="Failed").disrupted


def test_a_pod_that_is_going_is_in_no_other_state() -> None:
    for phase in ("Running", "Succeeded", "Failed"):
        pod = a_pod(phase=phase, terminating=True)
        assert not (pod.active or pod.running or pod.succeeded or pod.failed)


def test_other_peoples_gates_are_not_ours() -> None:
    assert not a_pod(spec={"schedulingGates": [{"name": "quota"}]}).gated
    assert a_pod(spec={"schedulingGates": [{"name": "training.mod201.dev/gang"}]}).gated
