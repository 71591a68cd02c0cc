"""A patch is applied whole and without fuzz, or refused with the hunk that does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.course import apply_patch
from graders.faults import CourseError, InfraFault

CHANGE = """\
diff --git a/pods.py b/pods.py
--- a/pods.py
+++ b/pods.py
@@ -1,3 +1,3 @@
 one
-two
+2
 three
@@ -11,3 +11,3 @@ one
 eleven
-twelve
+12
 thirteen
"""
NEW = """\
diff --git a/new.py b/new.py
new file mode 100644
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+new
"""
GONE = """\
diff --git a/pods.py b/pods.py
deleted file mode 100644
--- a/pods.py
+++ /dev/null
@@ -1,13 +0,0 @@
"""
LINES = ["one", "two", "three", *"456789", "ten", "eleven", "twelve", "thirteen"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "pods.py").write_text("\n".join(LINES) + "\n")
    return root


def patched(root: Path, text: str) -> dict[str, str]:
    patch = root.parent / "change.patch"
    patch.write_text(text)
    apply_patch(patch, root)
    return {path.name: path.read_text() for path in root.iterdir()}


def test_files_are_changed_made_and_removed(root: Path) -> None:
    found = patched(root, CHANGE + NEW)
    assert found["new.py"] == "new\n"
    assert found["pods.py"].split() == [*["one", "2"], *LINES[2:11], "12", "thirteen"]
    (root / "pods.py").write_text("\n".join(LINES) + "\n")
    assert patched(root, GONE + "".join(f"-{line}\n" for line in LINES)) == {"new.py": "new\n"}


def test_lines_may_have_come_before_it(root: Path) -> None:
    (root / "pods.py").write_text("nought\n" + "\n".join(LINES) + "\n")
    end = CHANGE.index("@@ -1,"), CHANGE.index("@@ -11,")
    found = patched(root, CHANGE[: end[0]] + CHANGE[end[1] :])["pods.py"]
    assert found.split() == ["nought", *LINES[:11], "12", "thirteen"]


@pytest.mark.parametrize(
    ("line", "at", "hunk"),
    [("two", 4, "@@ -1,3 +1,3 @@"), ("three", 4, "@@ -1,3 +1,3 @@"), ("eleven", 9, "@@ -11,3 +11,3 @@")],
)
def test_a_hunk_that_no_longer_fits_is_named_and_nothing_is_changed(
    root: Path, line: str, at: int, hunk: str
) -> None:
    stale = (root / "pods.py").read_text().replace(f"{line}\n", f"{line} \n")
    (root / "pods.py").write_text(stale)
    with pytest.raises(CourseError, match="no longer fits") as caught:
        patched(root, NEW + CHANGE)
    assert f"hunk {hunk} no longer fits pods.py" in caught.value.problem
    assert (caught.value.file, caught.value.line) == (str(root.parent / "change.patch"), 6 + at)
    assert "docs/solutions.md" in caught.value.fix
    assert {path.name: path.read_text() for path in root.iterdir()} == {"pods.py": stale}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CHANGE.replace("pods", "jobs"), "it does not fit jobs.py: No such file"),
        (NEW.replace("new.py", "pods.py"), "it does not fit pods.py: already exists"),
        (NEW.replace("new.py", "../new.py"), "it cannot be applied: error: invalid path"),
        (CHANGE.replace(" three\n", ""), "this is no unified diff"),
        ("", "it cannot be applied"),
        ("diff --git a/x b/x\nGIT binary patch\nliteral 1\nIcmZPo000310RR91\n\n", "it cannot be applied"),
    ],
    ids=["no such file", "there already", "outside", "cut short", "empty", "binary"],
)
def test_what_is_no_patch_for_it_is_refused(root: Path, text: str, problem: str) -> None:
    with pytest.raises(CourseError) as caught:
        patched(root, text)
    assert problem in caught.value.problem
    assert caught.value.line is not None
    assert [path.name for path in root.parent.rglob("*.py")] == ["pods.py"]


def test_neither_a_repository_around_it_nor_anybodys_settings_matter(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root.parent / ".git").mkdir()
    (root.parent / "settings").write_text("[apply]\nwhitespace = error\n[core]\nbare = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(root.parent / "settings"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert patched(root, CHANGE.replace("+2", "+2 "))["pods.py"].startswith("one\n2 \n")


def test_a_machine_without_git_is_told_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root))
    with pytest.raises(InfraFault, match=r"there is no git on this machine\n  fix: install git"):
        patched(root, CHANGE)
