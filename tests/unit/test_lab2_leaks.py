"""What gitleaks finds in a repository: secrets in the clear, and nothing that is encrypted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from graders.audits.gitleaks import Leak, leaks
from graders.lab2.engines import TOKEN
from graders.lab2.toolsets import BELT, GITLEAKS
from graders.lab2.tracks.secrets import GITLEAKS_SETTINGS
from graders.paths import REPOSITORY
from graders.scenario.toolroom import named_in
from graders.services.unsealer import read_private, seal
from graders.tools import find

SECRET = "export CONSOLE_API_KEY=" + "9b1d4e7fa02c4c8d" + "b6e35f0a71c2d894"


@pytest.fixture(scope="module")
def gitleaks() -> Path:
    tools = find(GITLEAKS)
    if tools is None:
        pytest.skip("gitleaks was not built here: `kubeproof setup lab2`")
    return tools.path("gitleaks")


def committed(folder: Path, files: dict[str, str]) -> Path:
    clone = folder / "clone"
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
    name = ["-c", "user.name=x", "-c", "user.email=x@lab.example"]
    for arguments in (["init", "--quiet", "."], ["add", "."], [*name, "commit", "--quiet", "-m", "x"]):
        subprocess.run(["git", "-C", clone, *arguments], check=True)
    return clone


def found(gitleaks: Path, folder: Path, files: dict[str, str]) -> list[Leak]:
    return list(leaks(gitleaks, GITLEAKS_SETTINGS, committed(folder, files), folder / "report.json"))


def test_a_token_in_the_clear_is_found_wherever_it_is(gitleaks: Path, tmp_path: Path) -> None:
    (leak,) = found(gitleaks, tmp_path, {"a/note.txt": f"first\nuse {SECRET}\n"})
    assert (leak.rule, leak.file, leak.line) == ("generic-api-key", "a/note.txt", 2)


def test_what_the_repository_says_about_gitleaks_has_no_say(gitleaks: Path, tmp_path: Path) -> None:
    silent = '[[allowlists]]\nregexes = [".*"]\n[extend]\nuseDefault = true\n'
    files = {"note.txt": f"{SECRET} # gitleaks:allow\n", ".gitleaks.toml": silent, ".gitleaksignore": "*\n"}
    assert [leak.file for leak in found(gitleaks, tmp_path, files)] == ["note.txt"]


def test_sealed_and_encrypted_values_are_none(gitleaks: Path, tmp_path: Path) -> None:
    public = read_private(TOKEN.sealing_key.read_bytes()).public_key()
    sealed = seal(public, b"correct horse battery staple", "web/web-token")
    parts = "data:Zm9vYmFyYmF6cXV4,iv:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ,tag:EjRWeJCrze8SNFZ4kKvN7w==,type:str"
    sops = f"ENC[AES256_GCM,{parts}]"
    files = {
        "secrets/dev/web-token.yaml": f"kind: SealedSecret\nspec:\n  encryptedData:\n    token: {sealed}\n",
        "secrets/prod/web-token.yaml": f"kind: Secret\nstringData:\n  token: {sops}\n",
    }
    assert found(gitleaks, tmp_path, files) == []


def test_a_recipient_is_none_and_its_identity_is_one(gitleaks: Path, tmp_path: Path) -> None:
    recipient = (REPOSITORY / "labs" / "lab2" / "age.pub").read_text().strip()
    files = {
        ".sops.yaml": f"creation_rules:\n  - age: {recipient}\n",
        "README.md": f"age public key: {recipient}\n",
        "ci/seal": f'AGE_KEY="{recipient}"\n',
    }
    assert found(gitleaks, tmp_path / "public", files) == []
    identity = "AGE-SECRET-KEY-1" + "QYQSZQGPQ" * 6 + "QYQS"
    (leak,) = found(gitleaks, tmp_path / "private", {"keys/age": f"# public key: {recipient}\n{identity}\n"})
    assert (leak.rule, leak.line) == ("age-secret-key", 2)


def test_a_commit_of_somebody_else_is_left_out(gitleaks: Path, tmp_path: Path) -> None:
    clone = committed(tmp_path, {"note.txt": f"{SECRET}\n"})
    (leak,) = leaks(gitleaks, GITLEAKS_SETTINGS, clone, tmp_path / "one.json")
    assert list(leaks(gitleaks, GITLEAKS_SETTINGS, clone, tmp_path / "two.json", [leak.commit])) == []


def test_tools_are_those_that_a_hand_in_names(tmp_path: Path) -> None:
    (tmp_path / "run").write_text(
        'subprocess.run(["conftest", "test"])\napiVersion: policies.kyverno.io/v1\n'
    )
    (tmp_path / "notes.md").write_text("gator would do as well")
    assert set(named_in(tmp_path, BELT)) == {"conftest"}
    assert all(toolset.names == (name,) for name, toolset in BELT.items())
