from builders import NOW, a_job, later

from mltj_operator.deadlines import active_left_s, ttl_left_s

ENDED = {"startTime": "2030-01-01T12:00:00Z", "completionTime": "2030-01-01T12:01:00Z"}


def test_the_active_deadline_runs_from_the_start_whoever_looks() -> None:
    job = a_job(policy={"activeDeadlineSeconds": 5})
    assert active_left_s(job, NOW, later(2)) == 3
    touched = a_job(policy={"activeDeadlineSeconds": 5}, metadata={"resourceVersion": "8"})
    assert active_left_s(touched, NOW, later(6)) == -1
    assert active_left_s(a_job(), NOW, NOW) is None


def test_the_time_to_live_runs_from_the_end() -> None:
    job = a_job(policy={"ttlSecondsAfterFinished": 5}, status=ENDED)
    assert ttl_left_s(job, later(62)) == 3
    assert ttl_left_s(a_job(status=ENDED), NOW) is None
