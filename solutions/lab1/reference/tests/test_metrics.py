from mltj_operator.job import Key
from mltj_operator.metrics import Metrics
from mltj_operator.transitions import Transitions

KEY = Key("lab", "train")


def value(metrics: Metrics, name: str) -> float | None:
    labels = {"namespace": "lab"} if name.endswith("_total") else {}
    return metrics.registry.get_sample_value(f"mltrainingjob_{name}", labels)


def test_counters_move_by_what_happened(metrics: Metrics) -> None:
    metrics.record(KEY, Transitions(True, False, False, False, False, False, 0, None))
    metrics.record(KEY, Transitions(False, True, False, False, False, False, 2, 4.0))
    metrics.record(KEY, Transitions(False, False, False, False, True, False, 0, None))
    metrics.record(KEY, Transitions(False, False, False, False, False, True, 0, None))
    assert value(metrics, "jobs_created_total") == 1
    assert value(metrics, "jobs_restarted_total") == 2
    assert value(metrics, "jobs_successful_total") == 1
    assert value(metrics, "jobs_failed_total") == 1
    assert value(metrics, "start_latency_seconds_count") == 1
    assert value(metrics, "start_latency_seconds_sum") == 4


def test_the_gauge_says_what_the_last_readings_showed(metrics: Metrics) -> None:
    metrics.saw_all([KEY, Key("lab", "other")])
    metrics.saw(KEY, active=True)
    assert value(metrics, "jobs_active") == 2
    metrics.saw(KEY, active=False)
    assert value(metrics, "jobs_active") == 1


def test_only_the_series_of_the_contract_are_shown(metrics: Metrics) -> None:
    metrics.record(KEY, Transitions(True, True, True, True, True, True, 1, 1.0))
    names = {s.name for family in metrics.registry.collect() for s in family.samples}
    assert not {name for name in names if name.endswith("_created")}
    assert all(name.startswith("mltrainingjob_") for name in names)
