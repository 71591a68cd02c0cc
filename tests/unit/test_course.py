"""A course whose labs, rubrics, checks and flawed solutions contradict each other is refused."""

from __future__ import annotations

import textwrap
from pathlib import Path, PurePosixPath

import pytest

from graders.course import load_course, load_expected
from graders.faults import CourseError, UsageError
from graders.model import Capability
from graders.paths import REPOSITORY

FILES = {
    "labs/lab1/lab.yaml": """\
        schema: kubeproof/lab/v1
        id: lab1
        title: A lab
        needs: [api, controllers]
        limits:
          program: &limits
            of: each program
            memory_mib: 1024
            cpu_s: 900
            pids: 256
            tmp_mib: 64
            file_mib: 32
            log_mib: 16
            wall_s: 0.5
          tools: *limits
        timing: {deadline_s: 10}
        nodes:
          - {name: a1, zone: a, resources: {nvidia.com/gpu: 4}}
          - {name: b1, zone: b}
        """,
    "rubrics/lab1.yaml": """\
        schema: kubeproof/rubric/v1
        lab: lab1
        version: "1"
        total: 10
        groups: {life: {title: Life, points: 10}}
        criteria:
          - {id: creates-pods, title: Pods, group: life, points: 6}
          - {id: both, title: Both, group: life, points: 3, checks: [creates-pods, events]}
          - {id: leader, title: Leader, group: life, points: 1, planned: true}
        """,
    "graders/lab1/checks/some.py": """\
        from graders.judging import check

        @check("creates-pods")
        def check_creates_pods():
            '''Pods.'''

        @check("events")
        def check_events():
            '''Events.'''
        """,
    "solutions/lab1/reference/extra/some.py": "",
    "solutions/lab1/flawed/random-names/expected.yaml": """\
        schema: kubeproof/expected/v1
        why: it names pods at random
        loses: [creates-pods, both]
        remove: [extra]
        """,
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def change(repository: Path, name: str, old: str, new: str) -> int:
    """Change a file of the course; gives the line on which that is."""
    path = repository / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return text[: text.index(old)].count("\n") + 1


def test_a_lab_is_found_by_slug_and_by_number(repository: Path) -> None:
    course = load_course(repository)
    assert course.slugs == ("lab1",)
    assert course.find_lab("1") == course.find_lab("lab1") == course.lab("lab1")


def test_a_lab_holds_all_that_grading_needs(repository: Path) -> None:
    lab = load_course(repository).find_lab("1")
    assert (lab.id, lab.title, lab.deadline_s) == ("lab1", "A lab", 10)
    assert lab.needs == {Capability.API, Capability.CONTROLLERS}
    assert lab.folder == repository / "labs/lab1"
    assert lab.reference == repository / "solutions/lab1/reference"
    assert lab.program_limits.memory_bytes == 1024 * 1024 * 1024
    assert (lab.tool_limits.log_bytes, lab.tool_limits.wall_s) == (16 * 1024 * 1024, 0.5)
    assert [(node.name, node.zone, node.resources) for node in lab.nodes] == [
        ("a1", "a", {"nvidia.com/gpu": 4}),
        ("b1", "b", {}),
    ]
    assert [info.id for info in lab.checks] == ["creates-pods", "events"]
    assert len(lab.rubric.criteria) == 3
    (flawed,) = lab.flawed
    assert (flawed.name, flawed.loses) == ("random-names", ("creates-pods", "both"))
    assert (flawed.why, flawed.remove) == ("it names pods at random", (PurePosixPath("extra"),))
    assert flawed.folder == repository / "solutions/lab1/flawed/random-names"


@pytest.mark.parametrize(
    ("name", "fix"),
    [("lba1", "did you mean 'lab1'? there are: lab1"), ("7", "lab1"), ("../x", "there are: lab1")],
)
def test_an_unknown_lab_is_refused_with_what_there_is(repository: Path, name: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_course(repository).find_lab(name)
    assert f"there is no lab {name!r}" in caught.value.problem
    assert fix in caught.value.fix


def test_a_folder_without_labs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="there is no lab here\n  fix: run kubeproof in a folder that has labs"
    ):
        load_course(tmp_path)


LAB, RUBRIC, CHECKS, FLAWED = (
    "labs/lab1/lab.yaml",
    "rubrics/lab1.yaml",
    "graders/lab1/checks/some.py",
    "solutions/lab1/flawed/random-names/expected.yaml",
)


@pytest.mark.parametrize(
    ("name", "change_", "problem", "fix"),
    [
        (LAB, ("id: lab1", "id: lab2"), "this is lab 'lab2' in the folder of 'lab1'", "write id: lab1"),
        (LAB, ("controllers]", "magic]"), "'magic' is no capability", "use one of api, controllers,"),
        (LAB, ("controllers]", "api]"), "names something twice", "name each once"),
        (LAB, ("pids: 256", "pids: 0"), "limits.program.pids is 0", "correct the value"),
        (LAB, ("deadline_s: 10", "deadline: 10"), 'unknown key "deadline"', 'did you mean "deadline_s"'),
        (RUBRIC, ("lab: lab1", "lab: lab2"), "the rubric of lab 'lab2', not of 'lab1'", "write lab: lab1"),
        (
            RUBRIC,
            (", planned: true", ""),
            "criterion 'leader' rests on check 'leader', which does not exist",
            "mark the criterion planned",
        ),
        (
            RUBRIC,
            ("[creates-pods, events]", "[creates-pods, evnts]"),
            "criterion 'both' rests on check 'evnts'",
            "did you mean 'events'?",
        ),
        (
            FLAWED,
            ("pods, both]", "pods, leader]"),
            "criterion 'leader', which is only planned",
            "name one of",
        ),
        (
            FLAWED,
            ("pods, both]", "pods, boht]"),
            "criterion 'boht', which does not exist",
            "creates-pods, both",
        ),
        (FLAWED, ("[creates-pods, both]", "[]"), "it loses nothing", "on any cluster"),
        (
            FLAWED,
            ("remove: [extra]", "loses_with: {real-pods: [boht]}"),
            "'boht', which does not exist",
            "creates-pods, both",
        ),
        (
            FLAWED,
            ("remove: [extra]", "loses_with: {moon: [both]}"),
            "'moon' is no capability",
            "use one of api",
        ),
        (
            FLAWED,
            ("[extra]", "[extra/some.py]"),
            "'extra/some.py', which is no folder of the reference",
            "a file is removed in change.patch",
        ),
        (FLAWED, ("[extra]", "[../x]"), "'../x' is no path inside the solution", "without .."),
        (FLAWED, ("why: it", "wyh: it"), 'unknown key "wyh"', 'did you mean "why"'),
        (
            FLAWED,
            ("remove: [extra]", "base: reference-go"),
            "it differs from 'reference-go', which does not exist",
            "name a folder beside lab1/flawed",
        ),
        (FLAWED, ("remove: [extra]", "base: ../evil"), 'base is "../evil"', "correct the value"),
    ],
)
def test_a_contradiction_is_refused_with_file_line_and_fix(
    repository: Path, name: str, change_: tuple[str, str], problem: str, fix: str
) -> None:
    line = change(repository, name, *change_)
    with pytest.raises(CourseError) as caught:
        load_course(repository).find_lab("lab1")
    assert problem in caught.value.problem
    assert fix in caught.value.fix
    assert (caught.value.file, caught.value.line) == (str(repository / name), line)


def test_a_check_that_earns_nothing_is_refused(repository: Path) -> None:
    change(repository, RUBRIC, ", checks: [creates-pods, events]", ", checks: [creates-pods]")
    with pytest.raises(
        CourseError, match=r"check 'events' earns nothing: no criterion of .* names it"
    ) as caught:
        load_course(repository).find_lab("lab1")
    assert (caught.value.file, caught.value.line) == (str(repository / CHECKS), 7)
    assert "give it points in the rubric" in caught.value.fix


def test_a_flawed_solution_without_its_expectation_is_refused(repository: Path) -> None:
    (repository / "solutions/lab1/flawed/unfinished").mkdir()
    with pytest.raises(CourseError, match="there is no such file") as caught:
        load_course(repository).find_lab("lab1")
    assert caught.value.file.endswith("unfinished/expected.yaml")


def test_an_expectation_can_be_read_alone(repository: Path) -> None:
    expected = load_expected(repository / FLAWED)
    assert (expected.name, expected.remove) == ("random-names", (PurePosixPath("extra"),))


def test_a_flaw_may_show_on_some_clusters_only(repository: Path) -> None:
    change(repository, FLAWED, "loses: [creates-pods, both]", "loses_with: {real-pods: [both]}")
    (flawed,) = load_course(repository).find_lab("lab1").flawed
    assert flawed.losses(["api"]) == ()
    assert flawed.losses(["api", "real-pods"]) == flawed.everything == ("both",)


def test_a_flawed_solution_may_differ_from_another_reference(repository: Path) -> None:
    other = repository / "solutions/lab1/reference-go"
    other.mkdir()
    (other / "cmd").mkdir()
    change(repository, FLAWED, "remove: [extra]", "base: reference-go\nremove: [cmd]")
    lab = load_course(repository).find_lab("lab1")
    assert [each.base for each in lab.flawed] == ["reference-go"]
    assert lab.references == (repository / "solutions/lab1/reference", other)


SOUND = """\
schema: kubeproof/expected/v1
why: it names pods in its own way
loses: []
remove: [extra]
"""


def sound(repository: Path, name: str = "own-names", text: str = SOUND) -> Path:
    path = repository / "solutions/lab1/sound" / name / "expected.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_a_sound_solution_loses_nothing_and_is_graded_whole(repository: Path) -> None:
    sound(repository)
    lab = load_course(repository).find_lab("lab1")
    assert [(each.name, each.everything, each.whole) for each in lab.sound] == [("own-names", (), True)]
    assert [each.name for each in lab.flawed] == ["random-names"]


@pytest.mark.parametrize("loses", ["loses: [both]\n", "loses_with: {real-pods: [both]}\n", ""])
def test_a_sound_solution_says_that_it_loses_nothing(repository: Path, loses: str) -> None:
    path = sound(repository, text=SOUND.replace("loses: []\n", loses))
    with pytest.raises(
        CourseError, match=r"among the sound, .*\n  fix: write `loses: \[\]`, or move"
    ) as caught:
        load_course(repository).find_lab("lab1")
    assert caught.value.file == str(path)


@pytest.mark.parametrize("name", ["random-names", "reference", "starter"])
def test_two_solutions_of_one_name_are_refused(repository: Path, name: str) -> None:
    path = sound(repository, name)
    with pytest.raises(CourseError, match=f"there is another solution called '{name}'") as caught:
        load_course(repository).find_lab("lab1")
    assert caught.value.file == str(path)


def test_a_solution_that_changes_nothing_is_refused(repository: Path) -> None:
    change(repository, FLAWED, "remove: [extra]", "")
    with pytest.raises(
        CourseError, match=r"it is the reference unchanged\n  fix: write what differs to change"
    ):
        load_course(repository).find_lab("lab1")


def test_a_file_that_nothing_reads_is_refused(repository: Path) -> None:
    stray = (repository / FLAWED).with_name("pods.py")
    stray.touch()
    with pytest.raises(
        CourseError, match=r"nothing reads this.*\n  fix: write the change to change.patch"
    ) as caught:
        load_course(repository).find_lab("lab1")
    assert caught.value.file == str(stray)


def test_the_labs_of_this_repository_agree_with_themselves() -> None:
    course = load_course(REPOSITORY)
    for slug in course.slugs:
        lab = course.lab(slug)
        assert lab.rubric.lab == lab.id == slug
