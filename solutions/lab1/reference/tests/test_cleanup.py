from builders import a_pod

from mltj_operator.cleanup import leftovers

PODS = [
    a_pod("train-0", "Succeeded"),
    a_pod("train-1", "Failed"),
    a_pod("train-2", "Running"),
    a_pod("train-3", "Pending"),
    a_pod("train-4", "Running", terminating=True),
]


def test_active_pods_go_at_the_end_and_finished_ones_only_under_all() -> None:
    for policy in ("None", "Running"):
        assert [pod.index for pod in leftovers(policy, PODS)] == [2, 3]
    assert [pod.index for pod in leftovers("All", PODS)] == [0, 1, 2, 3]
