"""The arithmetic of the benchmark."""

from __future__ import annotations

from graders.benchmarks.classes import Throughput
from graders.benchmarks.scale import scale_of
from graders.benchmarks.starts import Comparison, Measure, spread

COMPARISON = Comparison(
    "v1.37.2",
    {
        "embedded": (Measure(4.0, {"etcd": 40, "kube-apiserver": 260}), Measure(3.0, {"etcd": 50})),
        "kwokctl": (Measure(6.0, {"etcd": 45}), Measure(9.0, {"etcd": 55, "kwok-controller": 5})),
        "kind": (Measure(20.0, {"etcd": 45}), Measure(21.0, {"etcd": 55})),
    },
)


def test_the_ratio_is_taken_pair_by_pair() -> None:
    assert COMPARISON.ratios("kwokctl") == (1.5, 3.0)
    assert COMPARISON.ratios("kind") == (5.0, 7.0)


def test_memory_is_that_of_all_processes_together() -> None:
    assert [measure.memory_bytes for measure in COMPARISON.sides["embedded"]] == [300, 50]


def test_a_spread_is_the_middle_and_both_ends() -> None:
    assert spread([5, 1, 3]) == {"median": 3, "min": 1, "max": 5}
    assert spread([2.0]) == {"median": 2.0, "min": 2.0, "max": 2.0}


def test_the_file_holds_every_value_and_what_is_made_of_them() -> None:
    data = COMPARISON.as_json()

    assert data["schema"] == "kubeproof/bench/v1"
    assert data["kubernetes"] == "v1.37.2"
    assert data["ratio"] == {
        "kwokctl": {"median": 2.25, "min": 1.5, "max": 3.0},
        "kind": {"median": 6.0, "min": 5.0, "max": 7.0},
    }
    assert data["embedded"] == {
        "ready_s": {"median": 3.5, "min": 3.0, "max": 4.0},
        "memory_bytes": {"median": 175, "min": 50, "max": 300},
        "runs": [
            {"ready_s": 4.0, "memory_bytes": {"etcd": 40, "kube-apiserver": 260}},
            {"ready_s": 3.0, "memory_bytes": {"etcd": 50}},
        ],
    }


def test_a_large_class_takes_what_a_small_one_took_as_often() -> None:
    measured = Throughput(1, 240.0, 180.0, ("100",) * 4, pack_bytes=4_000_000, report_bytes=400_000)
    scale = scale_of(measured, 2**30, 10_000)
    assert scale.cpu_hours == 125.0
    assert scale.hours == {50: 200 * 60 / 3600, 200: 50 * 60 / 3600, 1000: 10 * 60 / 3600}
    assert scale.memory_bytes[200] == 200 * 2**30
    assert (scale.object_bytes, scale.report_bytes) == (10_000_000_000, 1_000_000_000)
    assert (scale.objects, scale.rows) == (40_002, 30_000)
