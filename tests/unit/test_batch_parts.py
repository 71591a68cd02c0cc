"""The parts of a batch on other machines: packs, places for objects, documents, options, pods' fates."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from graders.batch.executor import ExecutorOptions
from graders.batch.grading import _last_words
from graders.batch.indexedjob import PodOptions
from graders.batch.objects import ObjectPlace
from graders.batch.packing import BadPack, pack, sha256_of, unpack
from graders.batch.plan import Keys, ResultMarker, plan_of, read_document
from graders.batch.podfates import cannot_start, held_by_dead_node, indexes, waits_for, why_failed
from graders.batch.registry import executor_named
from graders.batch.worker import index_from, without_secrets
from graders.faults import InfraFault, UsageError
from graders.model import Verdict
from graders.submissions.load import digest_of, snapshot

GIVEN = PodOptions(image="x:1", objects="s3://class/lab1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "a" / "empty").mkdir(parents=True)
    (folder / "a" / "text").write_text("words\n")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("a/text")
    return folder


def packed(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    file = tmp_path / "made.tar.gz"
    file.write_bytes(gzip.compress(content.getvalue()))
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, leads_to: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, leads_to
    return made


def test_a_hand_in_keeps_its_digest_through_a_pack_and_packs_alike(folder: Path, tmp_path: Path) -> None:
    digest = snapshot(folder, tmp_path / "copy")
    pack(tmp_path / "copy", tmp_path / "one")
    (tmp_path / "copy" / "run").touch()
    pack(tmp_path / "copy", tmp_path / "other")
    assert sha256_of(tmp_path / "one") == sha256_of(tmp_path / "other")
    unpack(tmp_path / "one", tmp_path / "again", links=True)
    assert digest_of(tmp_path / "again") == digest
    assert (tmp_path / "again" / "a" / "empty").is_dir()
    assert (tmp_path / "again" / "run").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([(member("../out"), b"x")], "leads out"),
        ([(member("/etc/passwd"), b"x")], "leads out"),
        ([(member("a/./b"), b"x")], "leads out"),
        ([(member("link", tarfile.SYMTYPE, "/etc"), b"")], "leads out"),
        ([(member("link", tarfile.SYMTYPE, "../x"), b"")], "leads out"),
        ([(member("link", tarfile.SYMTYPE, "."), b""), (member("link/x"), b"y")], "is damaged"),
        ([(member("pipe", tarfile.FIFOTYPE), b"")], "neither a file nor a folder"),
        ([(member("twin", tarfile.LNKTYPE, "/etc/passwd"), b"")], "neither a file nor a folder"),
        ([(member("a"), b"x"), (member("a"), b"y")], "is damaged"),
        ([(member("big"), bytes(2000))], "larger than it may be"),
    ],
)
def test_a_hostile_pack_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], told: str
) -> None:
    with pytest.raises(BadPack, match=told):
        unpack(packed(tmp_path, *members), tmp_path / "out", links=True, most_bytes=1000)
    assert not (tmp_path / "x").exists()


def test_a_pack_that_is_cut_off_or_none_is_refused_and_results_have_no_links(
    folder: Path, tmp_path: Path
) -> None:
    pack(folder, tmp_path / "whole")
    with pytest.raises(BadPack, match="neither a file nor a folder"):
        unpack(tmp_path / "whole", tmp_path / "one")
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-20])
    (tmp_path / "none").write_bytes(b"no pack")
    for name in ("cut", "none"):
        with pytest.raises(BadPack, match="is damaged"):
            unpack(tmp_path / name, tmp_path / f"out-{name}", links=True)


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectPlace:
    root = str(tmp_path / "objects")
    return ObjectPlace(f"{request.param}://{root}")


def test_objects_are_put_read_listed_and_removed(place: ObjectPlace, tmp_path: Path) -> None:
    place.claim()
    (tmp_path / "file").write_bytes(b"from a file")
    place.put("results/a/done.1.json", b"{}")
    place.put("results/ab/open.2.json", tmp_path / "file")
    assert place.names("results") == ["results/a/done.1.json", "results/ab/open.2.json"]
    assert place.names("results/a") == ["results/a/done.1.json"]
    assert place.names("nothing") == []
    assert place.read("results/ab/open.2.json", 100) == b"from a file"
    assert place.read("results/ab/open.2.json", 5) is None
    assert place.read("results/none", 5) is None
    assert place.fetch("results/ab/open.2.json", tmp_path / "back", 11)
    assert not place.fetch("results/ab/open.2.json", tmp_path / "large", 10)
    assert not place.fetch("results/none", tmp_path / "nothing", 11)
    assert (tmp_path / "back").read_bytes() == b"from a file"
    place.remove("results/a/done.1.json")
    place.remove("results/a/done.1.json")
    assert not place.has("results/a/done.1.json")


@pytest.mark.parametrize("url", ["", "class", "s3://", "file://class", "nothing://class", "://x"])
def test_what_is_no_place_is_told(url: str) -> None:
    with pytest.raises(UsageError, match=r"--objects .*\n  fix: "):
        ObjectPlace(url)


def test_a_place_out_of_reach_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    place = ObjectPlace(f"file://{tmp_path}/file")
    with pytest.raises(
        InfraFault, match=r"out of reach \(writing kubeproof-place.*\n  fix: .*nothing is lost"
    ):
        place.claim()


def test_a_place_that_went_is_no_empty_place(tmp_path: Path) -> None:
    place = ObjectPlace(f"file://{tmp_path}/objects")
    place.claim()
    place.check()
    (tmp_path / "objects").rename(tmp_path / "away")
    assert place.names("results") == []
    with pytest.raises(InfraFault, match=r"is no longer what it was: .*\n  fix: put it back"):
        place.check()


def test_a_marker_says_who_it_is_and_what_is_none_is_not_read(place: ObjectPlace) -> None:
    key = Keys(record="1" * 64, judge="2" * 64, score="3" * 64)
    marker = ResultMarker(work="a" * 32, key=key, verdict=Verdict.GRADED, pack="4" * 64)
    assert marker.name.startswith(f"results/{'a' * 32}/done.")
    assert marker.model_copy(update={"verdict": Verdict.UNGRADED}).name.startswith(
        f"results/{'a' * 32}/open."
    )
    place.put(marker.name, marker.content())
    assert read_document(place, marker.name, ResultMarker) == marker
    for content in (b"", b"{", b'{"schema": "kubeproof/result/v2"}', marker.content()[:-1] + b', "x": 1}'):
        place.put("results/other", content)
        assert read_document(place, "results/other", ResultMarker) is None
    assert key.differing(key.model_copy(update={"judge": "9" * 64, "score": "8" * 64})) == "judge and score"


def test_the_same_works_have_the_same_plan() -> None:
    works = ["a" * 32, "b" * 32]
    assert plan_of("lab1", works) == plan_of("lab1", works)
    assert plan_of("lab1", works).name != plan_of("lab1", works[:1]).name
    # With `kubeproof-` before it and a pod's index and suffix behind, it is the name of a host.
    assert len("kubeproof-" + plan_of("l" * 50, works).name + "-99999-abcde") <= 63


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"image": "a b"}, "--image 'a b' is none"),
        ({"namespace": "A"}, "--namespace 'A' is none"),
        ({"queue": "a/b"}, "--queue 'a/b' is none"),
        ({"memory": "3 GB"}, "--memory '3 GB' is none"),
        ({"objects": "file:///srv/class"}, "pods do not see the folder file:///srv/class\n  fix: .*--claim"),
        ({"claim": "objects"}, "--claim is for a folder"),
    ],
)
def test_options_that_cannot_be_are_told(more: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        replace(GIVEN, **more).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("clouds", {}, "there is no executor 'clouds'\n  fix: use one of local, kubernetes"),
        ("local", {"image": "x"}, "--image is for --executor kubernetes, and this is local"),
        ("kubernetes", {"objects": "s3://a/b"}, "--executor kubernetes needs --image"),
        ("kubernetes", {"image": "x"}, "--executor kubernetes needs --objects"),
        (
            "kubernetes",
            {"image": "x", "objects": "memory://a", "kubeconfig": Path("nope")},
            "there is no kubeconfig at nope",
        ),
    ],
)
def test_an_executor_that_cannot_be_is_told(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told), executor_named(name, ExecutorOptions(**options)):
        pass


@pytest.mark.parametrize("text", ["", "-1", "x", "1.5", "٣", "123456789"])
def test_an_index_that_is_none_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=r"JOB_COMPLETION_INDEX is .*, and no index"):
        index_from({"JOB_COMPLETION_INDEX": text})


def test_the_indexes_of_a_status_are_read() -> None:
    assert indexes("") == []
    assert indexes("0,3-5,9") == [0, 3, 4, 5, 9]


def pod(**status: Any) -> dict[str, Any]:
    limits = {"resources": {"limits": {"memory": "3Gi"}}}
    return {"metadata": {}, "spec": {"nodeName": "n1", "containers": [limits]}, "status": status}


def ended(code: int, reason: str, message: str = "") -> list[dict[str, Any]]:
    return [{"state": {"terminated": {"exitCode": code, "reason": reason, "message": message}}}]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"containerStatuses": ended(137, "OOMKilled")}, "its pod ran out of memory (limit 3Gi)"),
        ({"reason": "DeadlineExceeded", "containerStatuses": ended(143, "Error")}, "did not end in time"),
        ({"containerStatuses": ended(3, "Error", "no\x1b[31m disk\n")}, "its pod ended with 3: no"),
        ({"reason": "Evicted", "message": "low on disk"}, "its pod failed (Evicted): low on disk"),
        ({}, "its pod failed (Failed)"),
    ],
)
def test_why_a_pod_failed_is_told(status: dict[str, Any], told: str) -> None:
    assert told in why_failed(pod(phase="Failed", **status))
    assert why_failed(pod(phase="Failed", **status)).isprintable()


def test_what_a_pod_waits_for_is_told() -> None:
    backing_off = [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]
    assert cannot_start(pod(containerStatuses=backing_off)) == ("ImagePullBackOff: not found", False)
    assert cannot_start(pod(containerStatuses=[{"state": {"running": {}}}])) == ("", False)
    bare = pod(phase="Pending", conditions=[{"type": "PodReadyToStartContainers", "status": "False"}])
    bare["metadata"]["name"] = "p1"
    assert cannot_start(bare) == ("node n1 has not set it up yet (kubectl describe pod p1)", False)
    bare["status"]["phase"] = "Failed"
    assert cannot_start(bare) == ("", False)
    unplaced = [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu"}]
    assert waits_for(pod(conditions=unplaced)) == "0/3 nodes: Insufficient cpu"
    assert waits_for(pod()) == ""
    lost = pod(phase="Running", conditions=[{"type": "DisruptionTarget", "reason": "DeletionByTaintManager"}])
    assert held_by_dead_node(lost) == ""
    lost["metadata"]["deletionTimestamp"] = "2026-11-29T00:00:00Z"
    assert held_by_dead_node(lost) == "n1"


def test_a_grading_gets_no_credential_and_the_worker_keeps_its_own() -> None:
    theirs = {"PATH": "/bin", "KUBEPROOF_AT_ONCE": "1", "LC_ALL": "C", "https_proxy": "http://proxy"}
    environment = {**theirs, "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y", "PGPASSWORD": "z"}
    before = dict(environment)
    with without_secrets(environment):
        assert environment == theirs
    assert environment == before


@pytest.mark.parametrize(
    ("said", "last"),
    [
        (
            "looking ...\nkubeproof: there is no room\n  fix: free some\n",
            "kubeproof: there is no room fix: free some",
        ),
        ("looking ...\n\nKilled\n", "Killed"),
        ("", ""),
    ],
)
def test_a_grading_s_last_words_are_its_error_and_not_its_fix_alone(
    tmp_path: Path, said: str, last: str
) -> None:
    (tmp_path / "log").write_text(said)
    assert _last_words(tmp_path / "log") == last
