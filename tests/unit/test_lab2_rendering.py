"""What comes out of a folder of the fleet, whatever somebody wrote into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.boundedprograms import write_bounded
from graders.kube.kustomizeerrors import reason_of
from graders.submissions import rendering
from graders.submissions.misrendering import misrendered
from graders.submissions.rendering import MOST_MEMORY_MIB, Rendered, Renderer, render

NOTHING = Renderer(Path("/bin/false"), None)
HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)
)


def plain(folder: Path, text: str) -> Rendered:
    (folder / "mesh").mkdir()
    (folder / "mesh" / "objects.yaml").write_text(text)
    return render(NOTHING, folder, "mesh")


def by_a_program(folder: Path, script: str) -> Rendered:
    """What a program in place of kustomize prints."""
    program = folder / "kustomize"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (folder / "dev").mkdir()
    (folder / "dev" / "kustomization.yaml").write_text("resources: []\n")
    return render(Renderer(program, None), folder, "dev")


def test_a_date_is_text_as_for_an_api_server(tmp_path: Path) -> None:
    out = plain(tmp_path, "apiVersion: v1\nkind: X\nmetadata: {name: x, annotations: {since: 2024-05-01}}\n")
    assert out.error == ""
    assert json.loads(json.dumps(out.objects))[0]["metadata"]["annotations"] == {"since": "2024-05-01"}


def test_a_key_that_is_a_number_is_text_as_for_an_api_server(tmp_path: Path) -> None:
    """So Istio's reference writes the ports of portLevelMtls."""
    out = plain(tmp_path, "kind: X\nmetadata: {name: x}\nspec: {8080: {mode: STRICT}, true: 1}\n")
    assert out.error == ""
    assert out.objects[0]["spec"] == {"8080": {"mode": "STRICT"}, "true": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + BOMB, "once its aliases are written out"),
        (HEAD + "a: &a [*a]\n", "alias"),
        (HEAD + "a: !!set {b, c}\n", "has the tag"),
        (HEAD + "spec: strict\n", "the spec of ConfigMap x is no mapping"),
        ("a: [b\n", "is not valid YAML"),
        ("- a\n", "is no object"),
        ("kind: X\nmetadata: {}\n", "without a name"),
        ("kind: X\nmetadata: {name: [x]}\n", "whose name ['x'] is no text"),
    ],
    ids=["bomb", "cycle", "set", "spec", "yaml", "list", "nameless", "names"],
)
def test_what_is_no_plain_object_is_said(text: str, says: str, tmp_path: Path) -> None:
    out = plain(tmp_path, text)
    assert says in out.error
    assert out.objects == ()


def test_programs_have_so_much_memory_and_no_more(tmp_path: Path) -> None:
    out = by_a_program(tmp_path, 'echo "{kind: X, metadata: {name: x, most: $(ulimit -d)}}"')
    assert out.objects[0]["metadata"]["most"] == MOST_MEMORY_MIB * 1024


def test_one_that_wants_more_says_so_and_nobody_else_is_to_try(tmp_path: Path) -> None:
    out = by_a_program(tmp_path, "echo 'fatal error: runtime: out of memory' >&2; exit 2")
    assert out.excessive
    assert out.error == f"it takes more than {MOST_MEMORY_MIB} MiB of memory to render"


def test_one_that_prints_without_end_is_excessive(tmp_path: Path) -> None:
    out = by_a_program(tmp_path, "head -c 9000000 /dev/zero")
    assert out.excessive
    assert "is larger than" in out.error


def test_one_that_takes_longer_than_a_minute_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rendering._TIMEOUT_S == 60.0
    monkeypatch.setattr(rendering, "_TIMEOUT_S", 0.5)
    out = by_a_program(tmp_path, "exec sleep 30")
    assert out.excessive
    assert out.error == "it was not rendered within 0 s"


def test_a_bounded_script_hands_its_arguments_on(tmp_path: Path) -> None:
    script = tmp_path / "helm"
    write_bounded(script, Path("/bin/echo"), 512)
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "Chart.yaml").write_text("name: x\n")
    out = render(Renderer(script, script), tmp_path, "chart")
    assert out.error.startswith("what comes out is no object: template web . --namespace web")


ABOVE = (
    "Error: accumulating resources: accumulation err='accumulating resources from '../../base': 'base' must"
    " resolve to a file': recursed accumulation of path 'base': "
)


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (
            ABOVE
            + "accumulating resources: accumulating resources from 'web.yaml': MalformedYAMLError: yaml:"
            " line 8: found character that cannot start any token in File: web.yaml",
            "base/web.yaml:8",
        ),
        (ABOVE + "accumulating resources: accumulation err='accumulating resources from '../gone': e", 3),
        (ABOVE + "trouble with `path: p.yaml`: failed to get the patch file from path(p.yaml): no", 4),
        (ABOVE + "loading KV pairs: file sources: [nope.txt]: evalsymlink failure", 5),
        ("Error: couldn't make target for path 'base': invalid: json: unknown field \"resouces\"", 6),
        (
            ABOVE + "accumulating components: accumulateDirectory: \"recursed accumulation of path 'base':"
            ' unable to find field \\"spec.x\\" in replacement target"',
            7,
        ),
        (ABOVE + "external plugins disabled; unable to load external plugin 'T'", None),
    ],
)
def test_what_does_not_render_is_said_with_its_place(
    tmp_path: Path, error: str, place: int | str | None
) -> None:
    for folder in ("clusters/dev", "base"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "base/web.yaml").write_text(HEAD)
    (tmp_path / "base/kustomization.yaml").write_text(
        "resources:\n- web.yaml\n- ../gone\npatches: [{path: p.yaml}]\n"
        "configMapGenerator: [{name: x, files: [nope.txt]}]\nresouces: []\n"
        "replacements: [{targets: [{fieldPaths: [spec.x]}]}]\n"
    )
    (tmp_path / "clusters/dev/kustomization.yaml").write_text("resources: [../../base]\n")
    said = misrendered(tmp_path, "clusters/dev", error, "run kustomize")
    where = place if isinstance(place, str) else f"base/kustomization.yaml:{place}"
    assert str(said).startswith(f"{where.removesuffix(':None')}: clusters/dev does not render: ")
    assert "recursed" not in str(said)


def test_what_is_no_kustomization_keeps_its_folder(tmp_path: Path) -> None:
    (tmp_path / "clusters" / "dev").mkdir(parents=True)
    said = misrendered(tmp_path, "clusters/dev", "is empty", "fill it")
    assert str(said) == "clusters/dev: it does not render: is empty\n  fix: fill it"


def test_what_is_wrong_in_the_end_is_kept(tmp_path: Path) -> None:
    way = "".join(f"recursed accumulation of path '{tmp_path}/{n:099}': accumulating: " for n in range(9))
    out = by_a_program(tmp_path, f'echo "Error: {way}the end" >&2; exit 1')
    assert reason_of(out.error) == "accumulating: the end"
