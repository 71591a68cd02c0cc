from builders import a_job, a_pod

from mltj_operator.failures import judge


def test_failures_at_once_count_one_each() -> None:
    pods = [a_pod(f"train-{index}", "Failed", exit_codes=(137,)) for index in range(2)]
    judgement = judge(a_job(), pods)
    assert (judgement.restarts, judgement.ending) == (2, "")
    assert judgement.counted == ("uid-train-0", "uid-train-1")


def test_a_failure_that_was_counted_is_not_counted_again() -> None:
    job = a_job(status={"restarts": 1, "countedFailures": ["uid-train-0"]})
    judgement = judge(job, [a_pod("train-0", "Failed")])
    assert (judgement.restarts, judgement.fresh) == (1, 0)


def test_a_removed_pod_is_forgotten_and_its_failure_is_not() -> None:
    job = a_job(status={"restarts": 1, "countedFailures": ["uid-train-0"]})
    judgement = judge(job, [a_pod("train-0", "Running", uid="another")])
    assert (judgement.restarts, judgement.counted) == (1, ())


def test_pods_that_were_deleted_or_evicted_do_not_count() -> None:
    pods = [
        a_pod("train-0", "Failed", terminating=True),
        a_pod("train-1", "Failed", status={"reason": "Evicted"}),
    ]
    assert judge(a_job(), pods).restarts == 0


def test_never_means_never() -> None:
    job = a_job(restart_policy="Never")
    assert judge(job, [a_pod(phase="Failed")]).ending == "PodFailed"
