from builders import a_job

from mltj_operator.backoff import exhausted


def test_the_limit_bounds_the_failures_of_the_whole_job() -> None:
    spent = a_job(policy={"backoffLimit": 2}, status={"restarts": 1})
    assert not exhausted(spent, 1)
    assert exhausted(spent, 2)
    assert exhausted(a_job(policy={"backoffLimit": 0}), 1)
