"""Operators that crash, starve, flood, lie or destroy: each is graded, none hangs or crashes the grading.

All are graded by the real command, confined as always, a few side by side. For each holds: it ends in
bounded time with a verdict, the learner is told what happened, and nothing of it is left.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from graders.reports.report_json import load_report
from tests.adversarial.hostile import Hostile, write_manifest
from tests.e2e.command import Ended, grade

pytestmark = [pytest.mark.adversarial, pytest.mark.cluster, pytest.mark.timeout(600)]

SIDE_BY_SIDE = 3

PODS_PICKED = "exit-codes,deadlines,events"
"""Checks whose tracks pick a pod that was there a moment ago."""


class Gradings:
    """Gradings of hostile operators, each done once and begun early."""

    def __init__(self, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._folder, self._pool = folder, pool
        self._begun: dict[Hostile, Future[Ended]] = {}

    def begin(self, hostile: Hostile) -> Future[Ended]:
        if hostile not in self._begun:
            self._begun[hostile] = self._pool.submit(self._grade, hostile)
        return self._begun[hostile]

    def _grade(self, hostile: Hostile) -> Ended:
        folder = self._folder / hostile.operator
        submission = hostile.make(folder / "submission")
        return grade(submission, folder / "out", *(f"--only={name}" for name in hostile.only.split(",")))


@pytest.fixture(scope="module")
def gradings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gradings]:
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        begun = Gradings(tmp_path_factory.mktemp("hostile"), pool)
        if "PYTEST_XDIST_WORKER" not in os.environ:
            for item in request.session.items:
                hostile = item.callspec.params.get("graded") if hasattr(item, "callspec") else None
                if isinstance(hostile, Hostile):
                    begun.begin(hostile)
        yield begun
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def graded(request: pytest.FixtureRequest, gradings: Gradings) -> Ended:
    """A hostile operator's grading, which ended as every grading must."""
    ended = gradings.begin(request.param).result()
    assert ended.code == 0, ended.err + ended.out
    assert load_report(ended.folder / "report.json")["verdict"] == "graded"
    assert [each["status"] for each in ended.report["outcomes"]] != []
    assert not any(each["status"] == "error" for each in ended.report["outcomes"])
    assert "Traceback" not in ended.err
    assert ended.left == []
    assert ended.folders_left() == []
    return ended


def of(hostile: Hostile) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("graded", [hostile], indirect=True, ids=[hostile.operator])


def seen(graded: Ended, check: str = "creates-pods") -> str:
    """What the learner reads about a check that failed."""
    outcome = graded.outcome(check)
    assert outcome["status"] == "failed"
    assert outcome["fault"] == "learner"
    assert outcome["expected"]
    assert outcome["hint"]
    return str(outcome["observed"])


class TestThatDoNotRun:
    @of(Hostile("exits_at_once"))
    def test_exit_is_told_with_code_and_last_words(self, graded: Ended) -> None:
        words = seen(graded)
        assert "first it exited with code 3" in words
        assert "cannot open config.toml: no such file" in words
        assert "bundle/logs" in graded.outcome("creates-pods")["hint"]

    @of(Hostile("exits_at_once"))
    def test_its_last_words_act_nowhere(self, graded: Ended) -> None:
        assert "<script>alert" in graded.log()
        assert "\x1b" not in graded.log()
        assert "<script>alert" not in graded.html
        assert "&lt;script&gt;alert" in graded.html
        for text in (graded.out, graded.err, graded.html, json.dumps(graded.report, ensure_ascii=False)):
            assert "\x1b" not in text
            assert "\x07" not in text
            assert "\u202e" not in text

    @of(Hostile("never_ready"))
    def test_silence_is_told_and_sigterm_need_not_be_heard(self, graded: Ended) -> None:
        words = seen(graded)
        assert "it has not read or watched jobs yet" in words
        assert "ended 0 times" in words
        assert "it printed nothing" in words


class TestThatTakeTooMuch:
    @of(Hostile("prints_without_end"))
    def test_a_gigabyte_of_log(self, graded: Ended) -> None:
        assert "last it was stopped: it printed more than it may" in seen(graded)
        assert len(graded.log()) < 16 * 2**20

    @of(Hostile("forks_without_end"))
    def test_processes(self, graded: Ended) -> None:
        words = seen(graded)
        assert "the operator's process ended" in words
        assert "Cannot fork" in words
        assert (
            max(e["data"]["peak_pids"] for e in read(graded, "processes.jsonl") if e["event"] == "usage")
            <= 256
        )

    @of(Hostile("eats_memory"))
    def test_memory(self, graded: Ended) -> None:
        assert "last it was stopped: it used more memory than it may" in seen(graded)

    @of(Hostile("burns_cpu"))
    def test_cpu_with_two_hundred_busy_processes(self, graded: Ended) -> None:
        assert "0 pods" in seen(graded)


class TestThatFlood:
    @of(Hostile("floods_api"))
    def test_requests(self, graded: Ended) -> None:
        assert "0 pods" in seen(graded)
        mine = [e for e in read(graded, "audit.jsonl") if e["user"].endswith(":mltj-operator")]
        assert len(mine) > 500

    @of(Hostile("opens_connections"))
    def test_connections(self, graded: Ended) -> None:
        assert "0 pods" in seen(graded)

    @of(Hostile("floods_objects"))
    def test_pods_and_events(self, graded: Ended) -> None:
        seen(graded)
        mine = [e for e in read(graded, "audit.jsonl") if e["user"].endswith(":mltj-operator")]
        assert sum(e["resource"] == "pods" and e["code"] == 201 for e in mine) > 50


class TestThatLookAround:
    @of(Hostile("looks_around"))
    def test_nothing_is_reached(self, graded: Ended) -> None:
        tries = [line for line in graded.log().splitlines() if line.startswith(("REACHED", "refused"))]
        assert len(tries) == 21
        assert [line for line in tries if line.startswith("REACHED")] == []
        assert "done looking" in graded.log()


class TestThatCheat:
    @of(Hostile("ends_its_own_pods", only="completion"))
    def test_playing_the_kubelet_earns_nothing(self, graded: Ended) -> None:
        seen(graded, "completion")

    @of(Hostile("lies_in_status", only="conditions,deadlines,completion", admin=True, any_status=True))
    def test_a_status_of_any_shape_is_read_without_harm(self, graded: Ended) -> None:
        for check in ("conditions", "deadlines", "completion"):
            seen(graded, check)
        assert {"str 200", "list 200", "int 200", "dict 200"} <= set(graded.log().splitlines())
        assert "<script>alert(2)" not in graded.html
        assert "<img src=x" not in graded.html
        assert "\x1b" not in graded.html + graded.out


class TestThatDestroy:
    @of(Hostile("destroys_cluster", admin=True))
    def test_what_it_deleted_is_its_own_loss(self, graded: Ended) -> None:
        words = seen(graded)
        assert "the operator itself did" in words
        assert "customresourcedefinitions mltrainingjobs.training.mod201.dev" in words
        assert "hook 201" in graded.log()

    @of(Hostile("takes_pods_back", only=PODS_PICKED))
    def test_pods_that_vanish_when_they_are_wanted_break_no_track(self, graded: Ended) -> None:
        assert "failed" in {graded.outcome(each)["status"] for each in PODS_PICKED.split(",")}


class TestMetricsThatAreTraps:
    @of(Hostile("hostile_metrics", only="metrics", metrics=9090))
    def test_every_scrape_ends(self, graded: Ended) -> None:
        assert "mltrainingjob_jobs_active" in graded.outcome("metrics")["expected"]
        assert "metrics page cannot be read" in seen(graded, "metrics")
        met = {line.partition(": ")[2] for line in graded.log().splitlines() if "scraped:" in line}
        assert {"without_end", "garbage", "endless_headers", "many_series", "odd_numbers", "short"} <= met


def read(graded: Ended, name: str) -> list[dict[str, Any]]:
    lines = (graded.folder / "bundle" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_kubeconfig_in_the_submission_is_not_used(tmp_path: Path) -> None:
    submission = Hostile("exits_at_once").make(tmp_path / "submission")
    write_manifest(submission, command=["python", "-m", "mltj_operator"])
    elsewhere = (
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "contexts: [{name: x, context: {cluster: x, user: x}}]\n"
        "users: [{name: x, user: {token: mine}}]\n"
    )
    for place in ("kubeconfig", ".kube/config", "config"):
        (submission / place).parent.mkdir(exist_ok=True)
        (submission / place).write_text(elsewhere)
    ended = grade(submission, tmp_path / "out", "--only", "creates-pods")
    assert ended.code == 0, ended.err
    assert ended.outcome("creates-pods")["status"] == "passed"
    assert "127.0.0.1:1'" not in ended.log()
    assert ended.left == []
