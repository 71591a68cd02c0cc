from decimal import Decimal

import pytest

from mltj_operator.quantities import parse_quantity


@pytest.mark.parametrize(
    ("text", "value"), [("2", 2), ("500m", "0.5"), ("4Gi", 4 * 1024**3), ("1k", 1000), (8, 8)]
)
def test_quantities_are_read_exactly(text: object, value: str | int) -> None:
    assert parse_quantity(text) == Decimal(value)
