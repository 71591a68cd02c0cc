"""Rubrics are read strictly: what does not add up is refused with file, line and fix."""

from __future__ import annotations

import textwrap
from decimal import Decimal
from pathlib import Path

import pytest

from graders.faults import CourseError
from graders.paths import REPOSITORY
from graders.scoring import load_rubric

GOOD = textwrap.dedent("""\
    schema: kubeproof/rubric/v1
    lab: lab1
    version: "3"
    total: 10
    groups:
      life: {title: Life, points: 7.5}
      rest: {title: Rest, points: 2.5}
    criteria:
      - id: creates-pods
        title: Pods come
        group: life
        points: 5
        checks: [creates-pods, names-pods]
      - id: in-cluster
        title: Runs for real
        group: life
        points: 2.5
        planned: true
        unsupported_to: rest
      - id: events
        title: Events
        group: rest
        points: "2.50"
        visibility: hidden
    """)


def write(folder: Path, text: str) -> Path:
    path = folder / "lab1.yaml"
    path.write_text(text)
    return path


def test_a_rubric_is_read_in_exact_decimals(tmp_path: Path) -> None:
    rubric = load_rubric(write(tmp_path, GOOD))
    assert (rubric.lab, rubric.version) == ("lab1", "3")
    assert dict(rubric.groups) == {"life": "Life", "rest": "Rest"}
    first, second, third = rubric.criteria
    assert first.checks == ("creates-pods", "names-pods")
    assert (second.points, second.planned, second.unsupported_to) == (Decimal("2.5"), True, "rest")
    assert (third.checks, third.points, third.visibility) == (("events",), Decimal("2.50"), "hidden")
    assert all(isinstance(criterion.points, Decimal) for criterion in rubric.criteria)
    assert len(rubric.sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "problem", "fix"),
    [
        ("rubric/v1", "rubric/v9", 'schema is "kubeproof/rubric/v9"', "kubeproof/rubric/v1"),
        ("    title: Pods come", "    titel: Pods come", 'unknown key "titel"', 'did you mean "title"'),
        ("    points: 5\n", "    points: -5\n", "-5 is no number of points", "from 0 up"),
        ("    points: 5\n", "    points: five\n", "'five' is no number of points", "from 0 up"),
        ("    points: 5\n", "    points: true\n", "True is no number of points", "from 0 up"),
        ("    points: 5\n", "    points: 5.001\n", "5.001 is no number of points", "two decimal places"),
        ("id: events", "id: creates-pods", "criterion 'creates-pods' is there twice", "rename or remove"),
        ("group: rest", "group: rset", "there is no group 'rset'", "use one of life, rest"),
        ("unsupported_to: rest", "unsupported_to: no", "is false, where text is expected", "text"),
        ("unsupported_to: rest", "unsupported_to: none", "no other criterion 'none'", "id of a criterion"),
        ("points: 7.5", "points: 8", "'life' add up to 7.5 points, not to 8", "or state 7.5 here"),
        ("total: 10", "total: 100", "the groups add up to 10.0 points, not to 100", "or state 10.0 here"),
        (", names-pods]", ", creates-pods]", "check 'creates-pods' is there twice", "name it once"),
        ("id: events", "id: Events!", "Events!", "correct the value"),
        ("visibility: hidden", "visibility: secret", "'visible' or 'hidden' is expected", "write"),
        ("    title: Pods come", "\ttitle: Pods come", "is not valid YAML", "no tabs"),
    ],
)
def test_a_mistake_is_refused_with_file_line_and_fix(
    tmp_path: Path, old: str, new: str, problem: str, fix: str
) -> None:
    assert GOOD.count(old) == 1
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(CourseError) as caught:
        load_rubric(path)
    assert problem in caught.value.problem
    assert fix in caught.value.fix
    assert (caught.value.file, caught.value.line) == (str(path), GOOD[: GOOD.index(old)].count("\n") + 1)


def test_the_rubric_of_lab_1_has_the_weights_of_its_groups() -> None:
    rubric = load_rubric(REPOSITORY / "rubrics/lab1.yaml")
    points = {
        group: sum(criterion.points for criterion in rubric.criteria if criterion.group == group)
        for group in rubric.groups
    }
    assert points == {
        "lifecycle": 35,
        "failures": 15,
        "disturbed": 20,
        "observability": 12,
        "security": 8,
        "scheduling": 5,
        "quality": 5,
    }
    assert all(criterion.checks == (criterion.id,) for criterion in rubric.criteria)
