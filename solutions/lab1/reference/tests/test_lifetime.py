from builders import NOW, later

from mltj_operator.lifetime import start_time
from mltj_operator.status import Status


def test_the_clock_starts_at_the_first_visit_and_is_not_reset() -> None:
    assert start_time(Status(), False, later(0.7)) == NOW
    assert start_time(Status(start_time=NOW), False, later(9)) == NOW


def test_a_suspended_job_has_no_start() -> None:
    assert start_time(Status(start_time=NOW), True, later(9)) is None
