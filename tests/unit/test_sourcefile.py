"""A file of source, read and not run: what it imports, and when it does the same as another."""

from __future__ import annotations

from pathlib import Path

import pytest

from graders.sourcefile import SourceFile, read_source

CODE = '''"""A module."""
import json


# A comment.
class Thing:
    """A thing."""

    def go(self) -> str:
        """Go."""
        return json.dumps("docs")
'''


def source(folder: Path, text: str, name: str = "code.py") -> SourceFile:
    file = folder / name
    file.write_text(text)
    return read_source(file)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# A comment.\n", "", True),
        ('"""A module."""\n', '"""Another."""\n\n', True),
        ('"""A thing."""', '"""Some thing."""', True),
        ('"""Go."""\n        ', "", True),
        ('json.dumps("docs")', '(\n            json.dumps("docs")\n        )', True),
        ('json.dumps("docs")', 'json.dumps("other")', False),
        ("    def go", "    @staticmethod\n    def go", False),
    ],
)
def test_what_does_the_same_means_the_same(tmp_path: Path, old: str, new: str, same: bool) -> None:
    changed = CODE.replace(old, new, 1)
    assert changed != CODE
    one, other = source(tmp_path, CODE), source(tmp_path, changed, "other.py")
    assert (one.meaning == other.meaning) is same


def test_a_docstring_that_a_decorator_may_read_counts(tmp_path: Path) -> None:
    text = '@check("x")\ndef check_x() -> None:\n    """Title."""\n'
    one, other = source(tmp_path, text), source(tmp_path, text.replace("Title", "Other"), "other.py")
    assert one.meaning != other.meaning


def test_imports_anywhere_in_it_count(tmp_path: Path) -> None:
    text = "import os.path\nif True:\n    from yaml import nodes\ndef f():\n    import httpx as h\n"
    found = source(tmp_path, text)
    assert found.imports == {"os.path", "yaml", "yaml.nodes", "httpx"}
    assert found.outside == {"yaml", "httpx"}


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    pass\nexcept OSError:\n    import yaml\n",
        "try:\n    pass\nexcept* OSError:\n    import yaml\n",
        "try:\n    pass\nfinally:\n    import yaml\n",
        "for x in y:\n    pass\nelse:\n    import yaml\n",
        "async def f():\n    async with x:\n        import yaml\n",
        "match x:\n    case 1:\n        import yaml\n",
        "class C:\n    while x:\n        import yaml\n",
    ],
)
def test_whatever_an_import_is_in_counts(tmp_path: Path, text: str) -> None:
    assert source(tmp_path, text).imports == {"yaml"}


def test_texts_like_names_are_literals_without_what_follows_a_colon(tmp_path: Path) -> None:
    found = source(tmp_path, "X = ['graders.images.undo:undo', 'go.mod', 'two words']\n")
    assert found.literals == {"graders.images.undo", "go.mod"}
