"""Private Python environments: for submissions that need packages which the course's environment lacks.

Such an environment lies in the cache, named by its content, and stands on the course's: its own packages
come first, the course's after them. A stranger chose what is in it. A wheel can bring files that Python
runs at each start, and can replace the interpreter, so nothing in it is ever run outside a sandbox: it is
made by the interpreter below it, and filled by our own pip, which can start no program and only unpacks.
"""

import hashlib
import os
from functools import cache
from pathlib import Path

from graders.once import scratch_folder
from graders.paths import cache_folder
from graders.progress import Progress
from graders.sandbox.fetching import PackageRequest, fetch
from graders.sandbox.project import passed_over, running_requirements
from graders.sandbox.requirements import TESTING, RequiredPackages, read_requirements, satisfied
from graders.sandbox.runtime import LOCK, Runtime, make_venv
from graders.tools.kept import Kept


def check_requirements(root: Path) -> None:
    """See that the requirements of the submission at `root` can be read.

    Raises:
        BadSubmission: names file and line.
    """
    running_requirements(root)
    read_requirements(root, TESTING)


def ensure_environment(course: Runtime, root: Path, progress: Progress) -> Runtime:
    """The environment for the submission at `root`: the course's where that has all it asks for.

    Otherwise a private one from the cache, made once for all that ask for the same. Packages that only
    tests need are added to it; whatever else they need is the course's.

    Raises:
        BadSubmission: a requirement cannot be read, or cannot be had as a wheel.
        InfraFault: the index cannot be reached, or the machine cannot make environments.
    """
    if twice := passed_over(root):
        progress.say(twice)
    wish = _wish(root)
    if wish is None:
        return course
    text = f"{course.venv.name}\n{wish.requirements_txt}\n{wish.constraints_txt}"
    key = hashlib.sha256(text.encode()).hexdigest()[:24]
    venv = cache_folder().resolve() / "environments" / key
    private = Runtime(venv, venv / "bin" / "python", course.base, course.lock_sha256, beneath=course.venv)
    kept = Kept("environment of a submission", key, venv.parent, (key,))
    kept.ensure(lambda: _make(private, wish, progress), progress)
    return private


def missing_packages(root: Path) -> PackageRequest | None:
    """What the operator at `root` needs to run and the course's environment lacks; None if that is nothing.

    Raises:
        BadSubmission: a requirement cannot be read.
    """
    running = running_requirements(root)
    fulfilled = satisfied(running.wanted, running.constraints, _course_pins())
    missing = any(each not in fulfilled for each in running.wanted)
    return PackageRequest(running.wanted, running.constraints) if missing else None


def _wish(root: Path) -> PackageRequest | None:
    """What has to be installed; None if the course's environment has it all."""
    running, testing = running_requirements(root), read_requirements(root, TESTING)
    bounds = (*running.constraints, *testing.constraints)
    fulfilled = satisfied((*running.wanted, *testing.wanted), bounds, _course_pins())
    # What runs is resolved as a whole, by what its author wrote. A test tool that is there is good enough.
    missing = [each for each in running.wanted if each not in fulfilled]
    extra = [each for each in testing.wanted if each not in fulfilled]
    wanted = [*(running.wanted if missing else ()), *extra]
    return PackageRequest(tuple(wanted), bounds) if missing or extra else None


@cache
def _course_pins() -> tuple[RequiredPackages, ...]:
    return read_requirements(LOCK.parent, LOCK.name, most_bytes=2**20).wanted


def _make(private: Runtime, wish: PackageRequest, progress: Progress) -> None:
    venv, course = private.venv, private.beneath
    assert course is not None
    make_venv(venv)
    (packages,) = venv.glob("lib/python3.*/site-packages")
    (course_packages,) = course.glob("lib/python3.*/site-packages")
    with scratch_folder(venv.parent / "scratch" / venv.name) as scratch:
        fetch(wish, packages, scratch, progress)
    _last_pth(packages).write_text(f"{course_packages}\n", encoding="utf-8")
    # For tests that start it: it is no module, and looks for its program here.
    (venv / "bin" / "ruff").symlink_to(course / "bin" / "ruff")


def _last_pth(packages: Path) -> Path:
    """A name that no package took, and that sorts after all that Python reads of the kind."""
    name = "~course.pth"
    while os.path.lexists(packages / name):
        name = f"~{name}"
    return packages / name
