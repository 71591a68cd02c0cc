from builders import a_job, a_pod

from mltj_operator.indices import missing, surplus


def test_a_new_job_lacks_all_its_pods() -> None:
    assert missing(a_job(nodes=4), [], (), ()) == (0, 1, 2, 3)


def test_names_in_use_finished_indices_and_foreign_pods_are_not_created() -> None:
    going = a_pod("train-0", "Running", terminating=True)
    assert missing(a_job(nodes=4), [going], (1,), {"train-2"}) == (3,)


def test_a_lost_pod_is_created_again_while_the_job_runs() -> None:
    status = {"observedGeneration": 1, "firstRunningTime": "2030-01-01T12:00:00Z"}
    assert missing(a_job(nodes=2, status=status), [a_pod("train-0", "Running")], (), ()) == (1,)


def test_scaling_down_takes_the_highest_indices_first() -> None:
    pods = [a_pod(f"train-{index}", "Running") for index in range(5)]
    assert [pod.index for pod in surplus(a_job(nodes=2), pods)] == [4, 3, 2]


def test_what_is_going_already_is_not_surplus() -> None:
    assert surplus(a_job(nodes=1), [a_pod("train-1", terminating=True)]) == ()
