"""What comes out of a folder of the fleet, whatever somebody wrote into it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graders.boundedprograms import write_bounded
from graders.submissions import rendering
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
