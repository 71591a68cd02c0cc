"""The action, step by step as written: what comes out, what goes wrong, what learner code cannot get at."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from graders.attestation.keys import new_keys
from graders.github.inputs import lock_digest, problems_of
from graders.paths import REPOSITORY
from tests.unit.action_steps import ACTION, SECRETS, STEPS, Job, installed_action

pytestmark = pytest.mark.processes

COURSE = REPOSITORY / "tests" / "tinycourse"
ESSAY = COURSE / "solutions" / "essay" / "reference"
INSTALL = ("Make the runner ready", "Install kubeproof and its programs")
"""Steps that install what these tests have already; tests/cluster/test_github_action.py runs them too."""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A push with an essay, and the course it is of, in the repository."""
    found = Job(
        tmp_path,
        installed_action(tmp_path / "action"),
        {"lab": "essay", "submission": "hand in", "course": "course"},
    )
    shutil.copytree(COURSE, found.workspace / "course")
    shutil.copytree(ESSAY, found.workspace / "hand in")
    return found


def named(name: str) -> dict[str, Any]:
    return next(step for step in STEPS if step["name"] == name)


def refused(job: Job, **event: str) -> list[str]:
    """What the first step would say, without a process for it."""
    inputs = {f"INPUT_{name.upper().replace('-', '_')}": value for name, value in job.inputs.items()}
    return list(problems_of({**inputs, "GITHUB_WORKSPACE": str(job.workspace), **event}))


def errors(job: Job) -> list[str]:
    return [line for text in job.printed.values() for line in text.splitlines() if line.startswith("::error")]


# --- from a push to a result -----------------------------------------------------------------------


def test_a_push_becomes_outputs_a_summary_and_signed_reports(job: Job, tmp_path: Path) -> None:
    secret, _ = new_keys(tmp_path / "keys")
    # Inputs are words, and never commands.
    hostile = "$(touch pwned) \"; touch pwned; '"
    job.inputs |= {"signing-key": secret.read_text(), "learner": hostile, "args": "--seed 7"}
    assert job.run(without=INSTALL) == 0, job.printed
    found = job.outputs["publish"]
    assert (found["verdict"], found["score"], found["possible"], found["percent"]) == (
        "graded",
        "2",
        "2",
        "100",
    )
    for name, each in ACTION["outputs"].items():
        assert each["value"] == f"${{{{ steps.publish.outputs.{name} }}}}"
        assert name in found
    report = json.loads(Path(found["report"]).read_text())
    assert report["submission"]["learner_id"] == hostile
    assert report["provenance"]["seed"] == 7
    assert not list(job.folder.rglob("pwned"))
    assert json.loads(base64.b64decode(found["result"]))["max_score"] == 2
    assert job.summary.startswith("## essay: 2 of 2 points (100 %)")
    assert "```mermaid\ngantt" in job.summary
    assert errors(job) == []
    assert found["signed"] == "true"
    envelope = json.loads((Path(found["report"]).parent / "report.dsse.json").read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["predicate"]["commit"] == "1" * 40
    assert {each["name"] for each in statement["subject"]} == {"report.json", "bundle"}


def test_a_score_below_the_bound_fails_the_job_after_all_is_published(job: Job) -> None:
    (job.workspace / "hand in" / "essay.md").write_text("Too short, but etcd.\n")
    job.inputs["fail-under"] = "60"
    assert job.run(without=INSTALL) == 1
    assert (job.outputs["publish"]["percent"], job.outputs["publish"]["signed"]) == ("50", "false")
    assert "It has at least fifty words" in job.summary
    assert any("4 words" in line for line in errors(job))
    assert errors(job)[-1] == "::error title=kubeproof::the score is below 60 %25"


def test_a_rejected_submission_is_marked_at_its_line_and_cannot_speak_to_the_runner(job: Job) -> None:
    """What is printed while learner text is around is no command until a word that nobody else knows."""
    manifest = job.workspace / "hand in" / "submission.yaml"
    manifest.write_text(manifest.read_text() + "esay: |\n  ::stop-commands::x\n  ::error::forged\n")
    assert job.run(without=INSTALL) == 2
    found = job.outputs["publish"]
    assert (found["verdict"], found["score"]) == ("rejected", "")
    assert [line for line in errors(job) if "file=hand in/submission.yaml,line=" in line], errors(job)
    assert json.loads(base64.b64decode(found["result"]))["tests"][0]["score"] == 0
    lines = job.printed["Grade"].splitlines()
    (word,) = re.findall(r"^::stop-commands::([0-9a-f]{32})$", lines[0])
    assert lines[-1] == f"::{word}::"


def test_what_is_not_graded_is_no_zero_anywhere(job: Job) -> None:
    check = job.workspace / "course" / "graders" / "essay" / "checks" / "essay.py"
    check.write_text(check.read_text().replace("raise Unmet", "raise KeyError"))
    (job.workspace / "hand in" / "essay.md").write_text("etcd\n")
    assert job.run(without=INSTALL) == 3
    found = job.outputs["publish"]
    assert (found["verdict"], found["score"], found["percent"], found["result"]) == ("ungraded", "", "", "")
    assert "This is no zero" in job.summary
    assert "This is no zero" in errors(job)[-1]


def test_an_error_of_the_course_is_told_and_still_published(job: Job) -> None:
    (job.workspace / "course" / "rubrics" / "essay.yaml").write_text("schema: nonsense\n")
    assert job.run(without=INSTALL) == 2
    assert job.outputs["publish"]["verdict"] == "ungraded"
    assert "essay.yaml" in job.printed["Grade"]


# --- what the job has and learner code has not ------------------------------------------------------


def test_no_secret_of_the_job_is_in_the_environment_of_the_grading(job: Job) -> None:
    seen = job.folder / "seen"
    (job.action / ".venv" / "bin" / "kubeproof").write_text(f"#!/bin/sh\nenv > {seen}; exit 0\n")
    job.inputs["signing-key"] = "-----BEGIN PRIVATE KEY-----"
    assert job.step(named("Grade")) == 0
    text = seen.read_text()
    names = {line.partition("=")[0] for line in text.splitlines()}
    # The last is of the stand-in for an installed Python.
    shells = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert names - shells == {"HOME", "PATH", "TMPDIR", "LANG", "KUBEPROOF_COURSE", "PYTHONPATH"}
    for secret in (*SECRETS.values(), "PRIVATE KEY", str(job.folder / "files")):
        assert secret not in text


def test_only_the_step_that_signs_has_the_key() -> None:
    having = [step["name"] for step in STEPS if "inputs.signing-key" in json.dumps(step.get("env", {}))]
    assert having == ["Sign the report"]
    names = [step["name"] for step in STEPS]
    assert names.index("Grade") < names.index("Sign the report")


def test_no_text_of_anybodys_becomes_a_part_of_a_script() -> None:
    for step in STEPS:
        assert "${{" not in step.get("run", ""), step["name"]


def test_a_key_that_is_none_is_told_without_being_shown_and_keeps_no_result_back(job: Job) -> None:
    job.inputs["signing-key"] = "hunter2"
    assert job.run(without=INSTALL) == 2
    assert "this is no key to sign with in PEM" in job.printed["Sign the report"]
    assert "hunter2" not in "".join(job.printed.values())
    assert (job.outputs["publish"]["verdict"], job.outputs["publish"]["signed"]) == ("graded", "false")


# --- a workflow that cannot grade -------------------------------------------------------------------

WRONG = [
    ({"lab": ""}, "the input lab is missing. Fix: add `lab: 1` under with:"),
    ({"lab": "../lab1"}, "lab '../lab1' is no lab"),
    ({"submission": ""}, "the input submission is missing"),
    (
        {"submission": "nowhere"},
        "submission 'nowhere' is not in the workspace. Fix: put actions/checkout before",
    ),
    ({"submission": "/etc"}, "leads out of the workspace"),
    ({"submission": "a/../../b"}, "leads out of the workspace"),
    ({"course": "../course"}, "course '../course' leads out of the workspace"),
    ({"provider": "existing"}, "provider 'existing' cannot be used here. Fix: choose from embedded, kind"),
    ({"fail-under": "most"}, "fail-under 'most' is no percentage"),
    ({"fail-under": "101"}, "fail-under '101' is no percentage"),
    ({"args": "--only 'x"}, "args: No closing quotation"),
    ({"args": "--sandbox none"}, "learner code would run beside the runner's tokens"),
    ({"args": "--sandbox=none"}, "learner code would run beside the runner's tokens"),
    ({"args": "--keep"}, "nobody could end it"),
]


@pytest.mark.parametrize(("inputs", "says"), WRONG, ids=[str(each[0]) for each in WRONG])
def test_inputs_that_cannot_be_meant_are_told_with_a_fix(inputs: dict[str, str], says: str, job: Job) -> None:
    assert refused(job) == []
    job.inputs |= inputs
    (problem,) = refused(job)
    assert says in problem
    assert "Fix: " in problem


def test_a_workflow_without_what_it_needs_ends_before_anything_is_installed(job: Job) -> None:
    job.inputs |= {"lab": "", "submission": ""}
    assert job.run(without=INSTALL) == 2
    assert list(job.printed) == ["Check the inputs"]
    assert [line.partition("Fix: ")[2] for line in errors(job)] == [
        "add `lab: 1` under with:",
        "add `submission: .` under with:, or the folder it is in",
    ]


@pytest.mark.parametrize("event", ["pull_request_target", "workflow_run"])
def test_an_event_with_secrets_beside_a_strangers_code_is_refused(event: str, job: Job) -> None:
    assert f"on: {event} has your secrets" in refused(job, GITHUB_EVENT_NAME=event)[0]


def test_a_runner_that_is_no_linux_is_refused(job: Job) -> None:
    assert "runs-on is macOS" in refused(job, RUNNER_OS="macOS")[0]


def test_a_submission_that_is_a_link_out_of_the_workspace_is_refused(job: Job) -> None:
    (job.workspace / "linked").symlink_to(job.folder / "home")
    job.inputs["submission"] = "linked"
    assert "is a link that leads out of the workspace" in refused(job)[0]


def test_a_forks_pull_request_is_graded_and_said_to_be_unsigned(job: Job) -> None:
    event = job.folder / "event.json"
    event.write_text(
        json.dumps(
            {
                "pull_request": {"head": {"repo": {"full_name": "eve/lab"}}},
                "repository": {"full_name": "course/lab"},
            }
        )
    )
    job.event = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(event)}
    assert job.step(STEPS[0]) == 0
    assert "this is a fork's pull request" in job.printed["Check the inputs"]


def test_a_token_that_the_checkout_left_is_noticed_and_not_shown(job: Job) -> None:
    git = ["git", "-C", str(job.workspace)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    header = "AUTHORIZATION: basic c2VjcmV0"
    subprocess.run([*git, "config", "http.https://github.com/.extraheader", header], check=True)
    assert job.step(STEPS[0]) == 0
    assert "persist-credentials: false" in job.printed["Check the inputs"]
    assert "c2VjcmV0" not in job.printed["Check the inputs"]


# --- what is written down --------------------------------------------------------------------------


def test_programs_are_cached_by_the_digest_of_all_locks(job: Job) -> None:
    assert job.step(STEPS[0]) == 0
    assert job.outputs["inputs"]["lock"] == lock_digest()
    restore, keep = named("Restore the programs"), named("Keep the programs")
    for part in ("steps.inputs.outputs.lock", "inputs.lab", "inputs.provider"):
        assert part in restore["with"]["key"]
    assert keep["with"]["key"] == f"${{{{ steps.{restore['id']}.outputs.cache-primary-key }}}}"
    assert keep["with"]["path"] == restore["with"]["path"]
    # A low score must not keep the cache from being kept, nor learner code be anywhere near it.
    assert STEPS.index(keep) < STEPS.index(named("Grade"))


def test_programs_of_the_lab_are_there_before_they_are_kept() -> None:
    """What is built by the grading itself would be built by every grading."""
    install = named("Install kubeproof and its programs")
    assert install["env"]["args"] == "${{ inputs.lab }}"
    assert STEPS.index(install) < STEPS.index(named("Keep the programs"))


def test_other_actions_are_pinned_by_digest_with_their_version() -> None:
    text = (REPOSITORY / "action.yml").read_text()
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert len(used) == 4
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40}", action)
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


def test_tracebacks_stay_out_of_the_artifact() -> None:
    keep = named("Keep the report and its evidence")
    assert "!${{ steps.grade.outputs.out }}/staff.log" in keep["with"]["path"]
