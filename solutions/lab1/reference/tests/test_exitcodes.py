import pytest
from builders import a_pod

from mltj_operator.exitcodes import permanent


@pytest.mark.parametrize(
    ("codes", "final"),
    [((1,), True), ((127,), True), ((128,), False), ((137,), False), ((255,), False), ((), False)],
)
def test_a_program_that_gave_up_is_not_tried_again(codes: tuple[int, ...], final: bool) -> None:
    assert permanent(a_pod(phase="Failed", exit_codes=codes)) is final
