"""What the text of lab 1 says in numbers and names outside its tables is so."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from graders.clusters.nodeimages.baseimages import GO
from graders.course import load_course
from graders.lab1.install import ALLOWED
from graders.sandbox import goruntime
from graders.sandbox.runtime import LOCK
from graders.tools.toolchain import pinned_go_version
from tests.unit.lab1_recording import reference

LAB = load_course().find_lab("lab1")
TEXT = (LAB.folder / "README.md").read_text(encoding="utf-8")


def told(pattern: str) -> str:
    found = re.search(pattern, TEXT, re.DOTALL)
    assert found, pattern
    return " ".join(found[1].split())


def test_the_packages_that_are_named_are_there() -> None:
    named = told(r"For Python, (kopf .*?) are there, beside (?:mypy)")
    beside = told(r"are there, beside (mypy.*?)\.\n")
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([0-9.]+)", LOCK.read_text("utf-8"), re.MULTILINE))
    words = re.split(r", | and ", f"{named}, {beside}")
    assert len(words) == 12
    for word in words:
        name, _, version = word.partition(" ")
        assert pinned[name.lower()].startswith(version), word


def test_go_and_what_is_compiled_already_are_of_the_versions_that_are_told() -> None:
    assert pinned_go_version().startswith(told(r"For Go, it is Go (\d+\.\d+) with") + ".")
    warm = (Path(goruntime.__file__).parent / "gowarm" / "go.mod").read_text("utf-8")
    assert f"controller-runtime v0.{told(r'those of controller-runtime 0.([0-9]+) with client-go')}." in warm
    assert f"client-go v0.{told(r'with client-go 0.([0-9]+) are compiled')}." in warm


def test_in_the_image_go_is_gos_own() -> None:
    # Where a wrapper leaves flags out, its folder comes first on the PATH: here there is none.
    assert "PATH" not in GO.environment
    assert not [path for path in GO.inputs if "goflags" in str(path)]
    assert not set(GO.environment) - {
        "GOPATH", "GOCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS", "GOTOOLCHAIN", "GOTELEMETRY", "CGO_ENABLED",
    }  # fmt: skip
    assert (GO.environment["GOPROXY"], GO.environment["CGO_ENABLED"]) == ("off", "0")


def test_t_is_ten_seconds() -> None:
    assert LAB.deadline_s == 10


def test_what_the_text_lists_of_manifests_may_be_handed_in() -> None:
    listed = told(r"plain manifests: (CRD, Namespace, ServiceAccount, RBAC, Deployment)")
    kinds = {"CRD": "CustomResourceDefinition", "RBAC": "ClusterRole"}
    assert {kinds.get(each, each) for each in listed.split(", ")} <= set(ALLOWED)
    folder = LAB.reference / "deploy"
    deployed = [
        each["kind"]
        for file in sorted(folder.glob("*.yaml"))
        for each in yaml.safe_load_all(file.read_text())
    ]
    assert {kinds.get(each, each) for each in listed.split(", ")} <= set(deployed)


def test_on_record_some_sixty_jobs_share_the_operator_at_a_time() -> None:
    active: dict[tuple[str, str], bool] = {}
    most = 0
    for event in reference().objects:
        if (event["resource"], event["cluster"]) != ("mltrainingjobs", "lab1"):
            continue
        job = event["object"]
        conditions = (job.get("status") or {}).get("conditions", ())
        over = any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)
        place = (event["namespace"], job["metadata"]["name"])
        active[place] = event["type"] != "DELETED" and not over
        most = max(most, sum(active.values()))
    assert 55 <= most <= 80
