"""A class of two by the command as it is typed: an Indexed Job of a real control plane, with real workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from graders.kube.client import Kube
from tests.cluster.kubelets import NOWHERE, ProcessKubelet, own_namespace
from tests.cluster.proxied import World
from tests.e2e.classes import COURSE, ESSAYS, gradebook_at, kubeproof

pytestmark = pytest.mark.cluster


def test_a_job_of_two_has_the_gradebook_of_this_machine_and_a_second_command_no_job(
    world: World, kube: Kube, tmp_path: Path
) -> None:
    submissions, objects = tmp_path / "submissions", tmp_path / "objects"
    shutil.copytree(ESSAYS / "reference", submissions / "ada")
    shutil.copytree(COURSE / "labs" / "essay" / "starter", submissions / "bob")
    objects.mkdir()
    store = tmp_path / "class.db"
    with own_namespace(kube, "job-of-two") as namespace:
        options = [
            *("--executor", "kubernetes", "--image", "registry.invalid/kubeproof:1", "--cpu", NOWHERE),
            *("--objects", f"file://{objects}", "--claim", "objects", "--namespace", namespace),
            *("--kubeconfig", world.cluster.kubeconfig, "--context", "kubeproof"),
            *("--store", store, "--results", tmp_path / "results"),
        ]
        with ProcessKubelet(kube, namespace, COURSE, tmp_path) as pods:
            done = kubeproof(tmp_path, submissions, *options)
            assert done.returncode == 0, done.stdout + done.stderr
            again = kubeproof(tmp_path, submissions, *options)
            assert again.returncode == 0, again.stdout + again.stderr
        (job,) = kube.get(f"/apis/batch/v1/namespaces/{namespace}/jobs")["items"]
    assert (job["spec"]["completionMode"], job["spec"]["completions"]) == ("Indexed", 2)
    assert job["status"]["succeeded"] == 2
    assert sorted(pods.seen.values()) == [0, 1]
    alone = kubeproof(
        tmp_path, submissions, "--store", tmp_path / "local.db", "--results", tmp_path / "local"
    )
    assert alone.returncode == 0, alone.stdout + alone.stderr
    found = gradebook_at(store)
    assert found == gradebook_at(tmp_path / "local.db")
    assert found["ada"] == ("graded", "2")
    assert found["bob"] != found["ada"]
