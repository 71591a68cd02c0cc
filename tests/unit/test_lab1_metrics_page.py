"""The metrics page as lab 1 reads it: totals, what does not parse, and the naming conventions."""

from __future__ import annotations

import math

import pytest

from graders.lab1.metrics import COUNTERS, Page, lint, read_page

GOOD = """\
# HELP go_goroutines Number of goroutines.
# TYPE go_goroutines gauge
go_goroutines 12
# HELP mltrainingjob_jobs_created_total Jobs seen.
# TYPE mltrainingjob_jobs_created_total counter
mltrainingjob_jobs_created_total{namespace="a"} 2
mltrainingjob_jobs_created_total{namespace="a",shard="1"} 1
mltrainingjob_jobs_created_total{namespace="b"} 5
# HELP mltrainingjob_jobs_active Unfinished jobs.
# TYPE mltrainingjob_jobs_active gauge
mltrainingjob_jobs_active 3
# HELP mltrainingjob_start_latency_seconds From start to running.
# TYPE mltrainingjob_start_latency_seconds histogram
mltrainingjob_start_latency_seconds_bucket{le="1"} 1
mltrainingjob_start_latency_seconds_bucket{le="+Inf"} 2
mltrainingjob_start_latency_seconds_sum 3.5
mltrainingjob_start_latency_seconds_count 2
"""


def page(text: str) -> Page:
    read = read_page(text)
    assert isinstance(read, Page), read
    return read


def family(name: str, kind: str = "gauge", *, text: str = "What it is.", samples: str | None = None) -> Page:
    lines = [f"# HELP {name} {text}"] if text else []
    lines += [f"# TYPE {name} {kind}"] if kind else []
    return page("\n".join([*lines, samples or f"{name} 1"]) + "\n")


def test_only_our_families_are_read() -> None:
    assert sorted(page(GOOD).families) == [
        "mltrainingjob_jobs_active",
        "mltrainingjob_jobs_created",
        "mltrainingjob_start_latency_seconds",
    ]


def test_a_total_adds_up_all_series_with_the_labels() -> None:
    good = page(GOOD)
    assert good.total("mltrainingjob_jobs_created_total", namespace="a") == 3
    assert good.total("mltrainingjob_jobs_created_total") == 8
    assert good.total("mltrainingjob_start_latency_seconds_count") == 2


@pytest.mark.parametrize("counter", COUNTERS)
def test_a_missing_series_is_zero(counter: str) -> None:
    assert page("").total(counter, namespace="a") == 0
    assert page(GOOD).total(counter, namespace="nowhere") == 0


@pytest.mark.parametrize("values", [("+Inf", "-Inf"), ("NaN", "1"), ("1e308", "1e308")])
def test_a_total_of_absurd_values_is_a_number_and_no_error(values: tuple[str, str]) -> None:
    text = "".join(f'mltrainingjob_jobs_active{{n="{n}"}} {value}\n' for n, value in enumerate(values))
    assert not math.isfinite(page(text).total("mltrainingjob_jobs_active"))


@pytest.mark.parametrize(
    "text",
    [
        "mltrainingjob_jobs_active one\n",
        'mltrainingjob_jobs_active{namespace="a\n',
        "mltrainingjob_jobs_active\n",
        "<html><body>404</body></html>\n",
    ],
)
def test_a_page_that_does_not_parse_is_told_in_words(text: str) -> None:
    problem = read_page(text)
    assert isinstance(problem, str)
    assert problem


def test_a_family_declared_twice_is_told() -> None:
    assert read_page(GOOD + GOOD) == "the family mltrainingjob_jobs_created is declared twice"


def test_a_good_page_has_no_breaches() -> None:
    assert lint(page(GOOD)) == []


@pytest.mark.parametrize(
    ("breached", "says"),
    [
        (family("mltrainingjob_x", text=""), "mltrainingjob_x has no HELP text"),
        (family("mltrainingjob_x", kind=""), "mltrainingjob_x has no TYPE, or a counter without _total"),
        (
            family("mltrainingjob_x", kind="untyped"),
            "mltrainingjob_x has no TYPE, or a counter without _total",
        ),
        (family("mltrainingjob_x_total"), "mltrainingjob_x_total ends in _total and is a gauge"),
        (family("mltrainingjob_x_count"), "mltrainingjob_x_count has a suffix that belongs to histograms"),
        (family("mltrainingjob_x_sum"), "mltrainingjob_x_sum has a suffix that belongs to histograms"),
        (family("mltrainingjob_jobsActive"), "mltrainingjob_jobsActive is not in snake_case"),
        (family("mltrainingjob_latency_ms"), "not in a base unit such as seconds or bytes"),
        (family("mltrainingjob_wait_minutes"), "not in a base unit such as seconds or bytes"),
        (family("mltrainingjob_size_mb"), "not in a base unit such as seconds or bytes"),
        (family("mltrainingjob_jobs_gauge"), "mltrainingjob_jobs_gauge has its type in its name"),
        (family("mltrainingjob_latency_histogram"), "has its type in its name"),
    ],
    ids=lambda value: value.replace(" ", "-")[:40] if isinstance(value, str) else "page",
)
def test_each_breach_of_the_conventions_is_told(breached: Page, says: str) -> None:
    assert any(says in breach for breach in lint(breached))


def test_a_counter_without_its_suffix_is_told_and_counts_as_missing() -> None:
    """Parsers are kind enough to add the suffix; Prometheus would know the series by its bare name."""
    page = family("mltrainingjob_jobs_created", kind="counter", samples="mltrainingjob_jobs_created 3")
    assert lint(page) == ["the counter mltrainingjob_jobs_created does not end in _total"]
    assert page.total("mltrainingjob_jobs_created_total") == 0


def test_series_without_a_type_are_one_family() -> None:
    text = 'mltrainingjob_jobs_active{namespace="a"} 1\nmltrainingjob_jobs_active{namespace="b"} 2\n'
    assert page(text).total("mltrainingjob_jobs_active") == 3
    assert len(page(text).families) == 1


def test_families_of_libraries_are_not_linted() -> None:
    assert lint(page("# TYPE go_gc_ms untyped\ngo_gc_ms 1\n")) == []
