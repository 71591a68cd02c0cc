"""Workflows, examples for other systems, and the scripts that they call."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from graders.paths import REPOSITORY
from tests.unit.action_steps import installed_action

pytestmark = pytest.mark.processes

WORKFLOWS = sorted([*REPOSITORY.glob(".github/workflows/*.yml"), *REPOSITORY.glob("docs/ci/github/*.yml")])
EXAMPLES = [path for path in WORKFLOWS if "docs" in path.parts]


def parsed(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    return document


def script(name: str, *arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, cwd / "scripts" / name, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


# --- GitHub ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_a_workflow_may_read_and_each_job_says_what_it_may_besides(path: Path) -> None:
    workflow = parsed(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert int(job["timeout-minutes"]) <= 60
    assert "pull_request_target" not in workflow["on"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=[path.name for path in WORKFLOWS])
def test_other_actions_are_pinned_by_digest_with_their_version(path: Path) -> None:
    used = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    assert used
    for action, comment in used:
        if action == "./" or action.startswith(("OWNER/kubeproof@", "classroom-resources/")):
            continue
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_one_action_has_one_digest_everywhere() -> None:
    texts = [path.read_text(encoding="utf-8") for path in [*WORKFLOWS, REPOSITORY / "action.yml"]]
    pins = {pin for text in texts for pin in re.findall(r"uses: ([\w-]+/[\w-]+)@([0-9a-f]{40})", text)}
    assert len({name for name, _ in pins}) == len(pins)


@pytest.mark.parametrize("path", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_an_example_gives_the_action_inputs_that_it_has_and_needs(path: Path) -> None:
    action = parsed(REPOSITORY / "action.yml")
    needed = {name for name, each in action["inputs"].items() if each.get("required") == "true"}
    steps = [step for job in parsed(path)["jobs"].values() for step in job["steps"]]
    (given,) = (step["with"] for step in steps if step.get("uses", "").startswith("OWNER/kubeproof@"))
    assert needed <= given.keys() <= action["inputs"].keys()
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] == "false" for step in checkouts)


def test_the_action_is_tried_on_a_passing_and_a_failing_submission_of_each_lab() -> None:
    rows = json.loads(script("action_matrix.py").stdout)["include"]
    labs = {path.parent.name for path in REPOSITORY.glob("labs/*/lab.yaml")}
    assert {row["lab"] for row in rows if row["passes"]} == labs
    assert {"lab": "lab1", "submission": "labs/lab1/starter", "passes": False} in rows
    assert all((REPOSITORY / row["submission"] / "submission.yaml").is_file() for row in rows)


def test_the_former_classrooms_example_keeps_the_names_it_is_looked_for_by() -> None:
    workflow = parsed(REPOSITORY / "docs" / "ci" / "github" / "autograding.yml")
    assert workflow["name"] == "Autograding Tests"
    assert list(workflow["jobs"]) == ["run-autograding-tests"]
    grade, report = workflow["jobs"]["run-autograding-tests"]["steps"][-2:]
    assert grade["id"].isalnum()
    assert report["env"] == {
        f"{grade['id'].upper()}_RESULTS": f"${{{{ steps.{grade['id']}.outputs.result }}}}"
    }
    assert f"steps.{grade['id']}.outputs.result != ''" in report["if"]


def test_what_could_be_done_to_workflows_is_looked_for_and_nothing_is_found(tmp_path: Path) -> None:
    """Without a network; and a workflow with a hole is found, so the tool does look."""
    zizmor = Path(sys.executable).with_name("zizmor")
    if not zizmor.exists():
        pytest.skip("zizmor is not installed")
    config = REPOSITORY / ".github" / "zizmor.yml"

    def audit(*paths: Path) -> list[dict[str, Any]]:
        options = ["--offline", "--no-progress", "--persona=pedantic", "--format=json", "--config", config]
        done = subprocess.run(
            [zizmor, *options, *paths], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    ours = audit(REPOSITORY / "action.yml", *WORKFLOWS)
    assert [
        (each["ident"], each["locations"][0]["symbolic"]["key"]) for each in ours if not each["ignored"]
    ] == []
    hole = tmp_path / ".github" / "workflows" / "hole.yml"
    hole.parent.mkdir(parents=True)
    hole.write_text(
        "on: pull_request_target\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
        "      - run: echo ${{ github.event.pull_request.title }}\n"
    )
    assert {"template-injection", "dangerous-triggers"} <= {each["ident"] for each in audit(hole)}


# --- other systems ---------------------------------------------------------------------------------


def test_gitlabs_template_tries_again_only_what_was_not_graded() -> None:
    text = (REPOSITORY / "docs" / "ci" / "gitlab-ci.yml").read_text(encoding="utf-8")
    spec, pipeline = yaml.safe_load_all(text)
    job = pipeline["grade"]
    assert job["retry"]["exit_codes"] == [3]
    assert job["artifacts"]["reports"]["junit"] == "kubeproof/junit.xml"
    assert job["artifacts"]["exclude"] == ["kubeproof/staff.log"]
    assert set(re.findall(r"\$\[\[ inputs\.([\w-]+) \]\]", text)) == set(spec["spec"]["inputs"])


@pytest.mark.parametrize("name", ["gitlab-ci.yml", "Jenkinsfile"])
def test_every_system_grades_with_a_named_environment_and_real_options(name: str) -> None:
    text = (REPOSITORY / "docs" / "ci" / name).read_text(encoding="utf-8")
    assert "env -i HOME=" in text
    (command,) = re.findall(r"kubeproof grade .*?-- \"\$LAB\" \"\$SUBMISSION\"", text, re.DOTALL)
    options = set(re.findall(r" (--[a-z-]+)", command))
    known = subprocess.run(
        [sys.executable, "-m", "graders", "grade", "--help"],
        cwd=REPOSITORY,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert options
    assert all(option in known for option in options)


def shell_of(name: str) -> str:
    """What the template has a shell do to grade."""
    text = (REPOSITORY / "docs" / "ci" / name).read_text(encoding="utf-8")
    if name == "Jenkinsfile":
        (found,) = re.findall(r"sh\(returnStatus: true, script: \'\'\'(.*?)\'\'\'\)", text, re.DOTALL)
        return str(found)
    return "\n".join(list(yaml.safe_load_all(text))[1]["grade"]["script"])


@pytest.mark.parametrize(
    ("name", "essay", "code", "results"),
    [
        ("gitlab-ci.yml", "Too short, but etcd.", 1, "kubeproof"),
        ("Jenkinsfile", None, 2, "kubeproof-results"),
    ],
)
def test_a_template_grades_by_its_own_shell_and_keeps_what_junit_readers_want(
    name: str, essay: str | None, code: int, results: str, tmp_path: Path
) -> None:
    """A low score, and a submission that is rejected; neither has a variable of the job's near it."""
    action, work = installed_action(tmp_path / "kubeproof"), tmp_path / "work"
    program = action / ".venv" / "bin" / "kubeproof"
    course, seen = REPOSITORY / "tests" / "tinycourse", tmp_path / "seen"
    program.write_text(
        program.read_text().replace("PYTHONPATH", f"env > {seen}\nKUBEPROOF_COURSE={course} PYTHONPATH", 1)
    )
    shutil.copytree(course / "solutions" / "essay" / "reference", work)
    if essay is None:
        (work / "essay.md").unlink()
    else:
        (work / "essay.md").write_text(essay)
    (tmp_path / "tmp").mkdir()
    variables = {
        "LAB": "essay",
        "SUBMISSION": ".",
        "FAIL_UNDER": "60",
        "PROVIDER": "embedded",
        "GITLAB_USER_LOGIN": "ada",
        "CI_PROJECT_DIR": str(work),
        "WORKSPACE_TMP": str(tmp_path / "tmp"),
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "CI_JOB_TOKEN": "token-of-the-job",
    }
    done = subprocess.run(
        ["bash", "-e", "-c", shell_of(name).replace("/opt/kubeproof", str(action))],
        cwd=work, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    suite = ET.parse(work / results / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("errors")) == ("1", "0")
    assert "token-of-the-job" not in seen.read_text()


# --- scripts ---------------------------------------------------------------------------------------


def test_a_tag_has_to_be_the_versions() -> None:
    assert script("release.py", "check", "v0.0.0").returncode == 1
    told = script("release.py", "check", "v0.0.0").stderr
    version = re.search(r"says version (\S+)", told)
    assert version
    assert script("release.py", "check", f"v{version[1]}").returncode == 0


def test_a_release_has_a_wheel_the_source_the_lock_and_their_checksums(tmp_path: Path) -> None:
    # One room of the package is packed as all are, and sooner.
    for name in ("graders/reports", "scripts"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(REPOSITORY / "graders" / "__init__.py", tmp_path / "graders" / "__init__.py")
    for name in ("pyproject.toml", "README.md", "requirements.lock"):
        shutil.copyfile(REPOSITORY / name, tmp_path / name)
    done = script("release.py", "build", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    sums = dict(
        reversed(line.split("  ")) for line in (tmp_path / "dist" / "SHA256SUMS").read_text().splitlines()
    )
    kinds = sorted(name.replace(re.search(r"\d+\.\d+\.\d+", name)[0], "V") if "kubeproof" in name else name  # type: ignore[index]
                   for name in sums)  # fmt: skip
    assert kinds == ["kubeproof-V-py3-none-any.whl", "kubeproof-V.tar.gz", "requirements.lock"]
    for name, digest in sums.items():
        assert hashlib.sha256((tmp_path / "dist" / name).read_bytes()).hexdigest() == digest


def test_no_link_of_the_docs_is_dead_and_a_dead_one_is_named(tmp_path: Path) -> None:
    done = script("docs_site.py")
    assert done.returncode == 0, done.stderr
    assert (
        '<a href="ci/github/grade.yml">'
        in (REPOSITORY / "build" / "site" / "docs" / "github.html").read_text()
    )
    (tmp_path / "scripts").mkdir()
    shutil.copyfile(REPOSITORY / "scripts" / "docs_site.py", tmp_path / "scripts" / "docs_site.py")
    (tmp_path / "README.md").write_text(
        "# One\n\n[a](gone.md) [b](#two) [c](#one) [d](https://example.org)\n"
    )
    done = script("docs_site.py", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "README.md: there is no gone.md",
        "README.md: there is no heading for #two",
    ]
