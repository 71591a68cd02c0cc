"""What Git declares, wherever it does: by an Application, by parameters that are selected, by charts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graders.admission.reviews import questions, single_names
from graders.lab2.driftcases import cases_of, declared_or_there
from graders.lab2.names import ENFORCE, FOREIGN_NAMESPACES, NAMESPACE
from graders.lab2.toolsets import HELM
from graders.lab2.tracks.failclosed import parameters_of
from graders.submissions.rendering import Renderer, lint, render
from graders.tools import find

_LABELLED: dict[str, Any] = {"metadata": {"name": "web", "labels": {ENFORCE: "restricted"}}}
_BARE: dict[str, Any] = {"kind": "Namespace", "metadata": {"name": "web"}}
_WEB: dict[str, Any] = {"metadata": {"name": "web"}, "spec": {"replicas": 2}}


def drifts(rendered: list[dict[str, Any]], **there: list[dict[str, Any]]) -> set[str]:
    kept: dict[str, list[dict[str, Any]]] = {"Namespace": [], "Deployment": [], **there}
    return {case.name for case in cases_of(list(declared_or_there(rendered, kept)))}


class TestDrift:
    def test_a_label_that_an_application_gives_the_namespace_is_declared(self) -> None:
        assert drifts([_BARE], Namespace=[_LABELLED]) == {"enforce-label"}

    def test_a_namespace_without_it_has_none(self) -> None:
        assert drifts([_BARE], Namespace=[{"metadata": {"name": "web"}}]) == set()

    def test_of_a_chart_that_only_its_application_renders_what_is_there_counts(self) -> None:
        assert drifts([], Namespace=[_LABELLED], Deployment=[_WEB]) == {"enforce-label", "replicas"}

    def test_what_is_called_after_a_release_is_met_by_its_name_there(self) -> None:
        rule = {"kind": "NetworkPolicy", "metadata": {"name": "web-deny"}, "spec": {"ingress": [{}]}}
        there = {**rule, "metadata": {"name": "dev-deny"}}
        found = cases_of(list(declared_or_there([rule], {"NetworkPolicy": [there]})))
        assert [case.object for case in found] == ["dev-deny"]

    def test_a_field_that_the_environment_leaves_out_is_nobody_s(self) -> None:
        web = {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {}}
        assert drifts([web], Deployment=[_WEB]) == set()


_PARAMETERS: dict[str, dict[str, Any]] = {
    "one": {"metadata": {"labels": {"for": "images"}}},
    "other": {"metadata": {"labels": {"for": "else"}}},
    "bare": {"metadata": {}},
}


class TestParameters:
    @pytest.mark.parametrize(
        ("ref", "found"),
        [
            ({"name": "one", "namespace": "web"}, ["one"]),
            ({"name": "one"}, ["one"]),
            ({"name": "one", "namespace": "kube-system"}, []),
            ({"selector": {"matchLabels": {"for": "images"}}}, ["one"]),
            ({"selector": {}, "namespace": "web"}, ["one", "other", "bare"]),
            ({}, []),
        ],
    )
    def test_they_are_named_or_selected(self, ref: dict[str, Any], found: list[str]) -> None:
        assert list(parameters_of({"spec": {"paramRef": ref}}, _PARAMETERS)) == found


def test_it_is_asked_whether_one_rule_gives_all_of_a_group() -> None:
    asked = {(each.verb, each.group, each.resource) for each in questions(NAMESPACE, FOREIGN_NAMESPACES)}
    assert {("create", "apps", "*"), ("delete", "policies.kyverno.io", "*"), ("patch", "", "*")} <= asked


def test_it_is_asked_about_the_single_objects_that_rules_name() -> None:
    rules = [
        {"verbs": ["bind"], "resources": ["clusterroles"], "resourceNames": ["admin"]},
        {"verbs": ["get"]},
    ]
    names = single_names([{"rules": rules}, {"kind": "RoleBinding"}])
    asked = {(q.verb, q.resource, q.name) for q in questions(NAMESPACE, FOREIGN_NAMESPACES, names)}
    assert names == ["admin"]
    assert {
        ("bind", "clusterroles", "admin"),
        ("impersonate", "groups", "admin"),
        ("get", "secrets", "admin"),
    } <= asked


def test_a_way_to_be_somebody_else_is_asked_as_a_subresource() -> None:
    (found,) = (
        q
        for q in questions(NAMESPACE, FOREIGN_NAMESPACES)
        if (q.resource, q.namespace) == ("pods/exec", "kube-system")
    )
    attributes = found.review("gitops")["spec"]["resourceAttributes"]
    assert (attributes["resource"], attributes["subresource"]) == ("pods", "exec")


@pytest.mark.skipif(find(HELM) is None, reason="Helm is not there")
class TestCharts:
    @pytest.fixture
    def renderer(self) -> Renderer:
        found = find(HELM)
        assert found is not None
        return Renderer(Path(), found.path("helm"))

    @staticmethod
    def chart(root: Path, path: str, head: str, template: str = "") -> None:
        folder = root / path
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text(
            f"apiVersion: v2\nname: {folder.name}\nversion: 1.0.0\ndescription: x\n{head}"
        )
        (folder / "values.yaml").write_text("{}\n")
        if template:
            (folder / "templates/it.yaml").write_text(template)

    def test_a_chart_of_the_repository_that_another_needs_is_brought(
        self, renderer: Renderer, tmp_path: Path
    ) -> None:
        self.chart(tmp_path, "charts/web", "", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: it}\n")
        needs = "dependencies: [{name: web, version: 1.0.0, repository: 'file://../../charts/web'}]\n"
        self.chart(tmp_path, "clusters/dev", needs)
        first, again = (render(renderer, tmp_path, "clusters/dev") for _ in range(2))
        assert [each["kind"] for each in first.objects] == ["ConfigMap"], first.error
        assert first.sha256 == again.sha256
        assert lint(renderer, tmp_path, "clusters/dev") == ""
        assert not (tmp_path / "clusters/dev/charts").exists(), "the repository stays as it is"

    def test_one_that_is_nowhere_is_said(self, renderer: Renderer, tmp_path: Path) -> None:
        needs = "dependencies: [{name: web, version: 1.0.0, repository: 'file://../../charts/web'}]\n"
        self.chart(tmp_path, "clusters/dev", needs)
        assert "charts/web" in render(renderer, tmp_path, "clusters/dev").error

    def test_a_library_is_linted_and_not_rendered(self, renderer: Renderer, tmp_path: Path) -> None:
        self.chart(tmp_path, "charts/common", "type: library\n")
        assert render(renderer, tmp_path, "charts/common").error == ""
        assert lint(renderer, tmp_path, "charts/common") == ""

    def test_a_folder_that_is_no_chart_is_not_linted(self, renderer: Renderer, tmp_path: Path) -> None:
        (tmp_path / "policies").mkdir()
        assert lint(renderer, tmp_path, "policies") == ""
