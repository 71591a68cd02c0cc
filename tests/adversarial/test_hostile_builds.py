"""What a hostile `operator.build` tries: the network, the shared Go cache, files it should not make."""

from __future__ import annotations

import socket
import struct
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from graders.faults import BadSubmission
from graders.progress import Silent
from graders.sandbox import Limits, SandboxSpec, sandbox_named
from graders.sandbox.building import Build, HandoverLimits, build_submission
from graders.sandbox.gomodules import fetch_modules
from graders.sandbox.goruntime import GoRuntime, ensure_go_runtime
from graders.tools.toolchain import ensure_toolchain

pytestmark = pytest.mark.adversarial

Try = Callable[..., Path]
PLENTY = Limits(wall_s=60)


@pytest.fixture
def attempt(tmp_path: Path) -> Try:
    """Build a submission whose build is this Python program; gives the built tree."""

    def run(program: str, limits: Limits = PLENTY, learner: str = "one", **more: object) -> Path:
        submission = tmp_path / learner / "submission"
        submission.mkdir(parents=True)
        (submission / "build.py").write_text(textwrap.dedent(program))
        base = SandboxSpec(
            submission=submission,
            command=(),
            folder=tmp_path / learner / "scratch",
            venv=Path(sys.prefix),
            python=Path(sys.executable),
            base=Path(sys.base_prefix),
            limits=limits,
        )
        build = Build(("python", "build.py"), base, **more)  # type: ignore[arg-type]
        return build_submission(sandbox_named("bubblewrap"), build, tmp_path / learner / "built")

    return run


def test_what_a_build_makes_is_handed_on_and_can_be_run(attempt: Try) -> None:
    built = attempt("""
        from pathlib import Path
        Path("bin").mkdir()
        Path("bin/operator").write_text("#!/bin/sh")
        Path("bin/operator").chmod(0o700)
        Path("link").symlink_to("/etc/passwd")
    """)
    assert (built / "bin" / "operator").stat().st_mode & 0o777 == 0o755
    assert (built / "build.py").stat().st_mode & 0o777 == 0o644
    assert not (built / "link").is_symlink()


def test_a_build_that_fails_shows_the_compilers_first_lines(attempt: Try) -> None:
    with pytest.raises(BadSubmission) as refused:
        attempt("""
            import sys
            print("./main.go:3:8: first error")
            print("\\x1b[31m./main.go:9:1: second error")
            sys.exit(2)
        """)
    words = str(refused.value)
    assert "`python build.py` exited with code 2: ./main.go:3:8: first error / " in words
    assert "second error" in words
    assert "\x1b" not in words
    assert "so what it needs has to be in your folder" in refused.value.fix


def test_a_build_that_never_ends_is_ended(attempt: Try) -> None:
    with pytest.raises(BadSubmission, match=r"it used more CPU time than it may|was ended by signal 24"):
        attempt("while True: pass", limits=Limits(cpu_s=1.0))


def test_a_build_has_no_network(attempt: Try) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        address = socket.gethostbyname(socket.gethostname())
        with socket.create_connection((address, port), timeout=5):
            pass  # from outside the sandbox it answers
        built = attempt(f"""
            import socket
            reached = []
            for host in ({address!r}, "127.0.0.1"):
                try:
                    socket.create_connection((host, {port}), timeout=2).close()
                    reached.append(host)
                except OSError:
                    pass
            open("reached", "w").write(repr(reached))
        """)
    assert (built / "reached").read_text() == "[]"


def test_the_shared_cache_cannot_be_poisoned(attempt: Try, tmp_path: Path) -> None:
    for name in ("root/bin", "modules/example.com", "builds/00"):
        (tmp_path / name).mkdir(parents=True)
    files = {name: tmp_path / name for name in ("root/bin/go", "modules/example.com/a.go", "builds/00/y-d")}
    for file in files.values():
        file.write_text("honest")
        file.chmod(0o666)
    (tmp_path / "builds/00").chmod(0o777)
    go = GoRuntime(tmp_path / "root", tmp_path / "modules", tmp_path / "builds")
    targets = [str(file) for file in files.values()]
    built = attempt(
        f"""
        import os
        own = os.environ["GOCACHE"] + "/00/y-d"
        seen = open(own).read()
        done = []
        for target in [own, *{targets!r}, {str(tmp_path / "builds/00/new-a")!r}]:
            for act in (lambda: open(target, "w").write("evil"), lambda: os.chmod(target, 0o777),
                        lambda: os.rename(target, target + "2")):
                try:
                    act()
                    done.append(target)
                except OSError:
                    pass
        os.makedirs(os.environ["GOCACHE"] + "/01")
        open(os.environ["GOCACHE"] + "/01/mine-a", "w").write("mine")
        open("result", "w").write(repr((seen, sorted(set(done) - {{own}}))))
        """,
        go=go,
    )
    # The link in its own layer it may rename; what it points to stays.
    assert (built / "result").read_text() == "('honest', [])"
    assert {file.read_text() for file in files.values()} == {"honest"}
    assert [entry.name for entry in (tmp_path / "builds").rglob("*")] == ["00", "y-d"]


HONEST = """
import os, pathlib, subprocess
for name, text in {
    "go.mod": "module lab\\n\\ngo 1.27.0\\n",
    "main.go": 'package main\\n\\nimport "lab/dep"\\n\\nfunc main() { println(dep.Word) }\\n',
    "dep/dep.go": 'package dep\\n\\nconst Word = "honest"\\n',
}.items():
    pathlib.Path(name).parent.mkdir(exist_ok=True)
    pathlib.Path(name).write_text(text)

def built(**more):
    subprocess.run(["go", "build", "-o", "operator", "."], check=True, env={**os.environ, **more})
    return subprocess.run(["./operator"], capture_output=True, text=True, check=True).stderr.strip()
"""
"""A program of two packages; `built` builds it and gives what it says."""

TELL = """
pathlib.Path("said").write_text(" ".join(said))
"""

POISON = r"""
pathlib.Path("evil.txt").write_text('package dep\n\nconst Word = "evil"\n')
here = os.getcwd()
pathlib.Path("tool").write_text(f'''#!/bin/sh
case "$*" in *-V=full*) exec "$@" ;; esac
for word; do
    shift
    case "$word" in */dep.go) word="{here}/evil.txt" ;; esac
    set -- "$@" "$word"
done
exec "$@"
''')
os.chmod("tool", 0o755)
said = [built(GOFLAGS=f"-mod=readonly -buildvcs=false -toolexec={here}/tool"), built()]
"""
"""Compiles another source under the cache key of the honest one, then builds honestly."""

C_FILE = r"""
pathlib.Path("c.go").write_text('package main\n\n// int x(void) { return 1; }\nimport "C"\n')
said = [built()]
"""


@pytest.fixture(scope="module")
def go() -> GoRuntime:
    """The real one: modules, build cache and toolchain that all learners share."""
    return ensure_go_runtime(ensure_toolchain(Silent()), Silent())


def test_what_one_learner_puts_into_the_build_cache_no_other_finds(attempt: Try, go: GoRuntime) -> None:
    poisoned = attempt(HONEST + POISON + TELL, learner="evil", go=go)
    # The second of its builds was an honest one, and took the poison from its own cache.
    assert (poisoned / "said").read_text() == "evil evil"
    honest = attempt(HONEST + "said = [built()]" + TELL, learner="honest", go=go)
    assert (honest / "said").read_text() == "honest"


def test_no_c_compiler_runs_in_a_build(attempt: Try, go: GoRuntime) -> None:
    built = attempt(HONEST + C_FILE + TELL, go=go)
    # Without cgo, a file that imports "C" is no part of the package.
    assert (built / "said").read_text() == "honest"


def test_a_go_mod_that_wants_another_toolchain_gets_none(tmp_path: Path, go: GoRuntime) -> None:
    """A `toolchain` line is a wish that is not heard; a `go` line that is too new is refused."""
    submission = tmp_path / "submission"
    submission.mkdir()
    (submission / "go.work").write_text("go 1.27.0\n\nuse ../..\n")
    (submission / "go.mod").write_text("module lab\n\ngo 1.27.0\n\ntoolchain go1.99.0\n")
    fetch_modules(go, submission, tmp_path / "first", Silent())
    (submission / "go.mod").write_text("module lab\n\ngo 1.99.0\n")
    with pytest.raises(BadSubmission, match=r"requires go >= 1\.99\.0 .*GOTOOLCHAIN=local"):
        fetch_modules(go, submission, tmp_path / "second", Silent())


def _entry(path: bytes, content: bytes = b"x", size_bytes: int | None = None) -> bytes:
    size = len(content) if size_bytes is None else size_bytes
    return struct.pack("!HHQ", len(path), 0o644, size) + path + content


STREAMS = {
    "a way up": (_entry(b"../../evil"), "a path that leads elsewhere"),
    "an absolute path": (_entry(b"/tmp/evil"), "a path that leads elsewhere"),
    "the folder itself": (_entry(b"."), "a path that leads elsewhere"),
    "a zero byte": (_entry(b"a\0b"), "a path that leads elsewhere"),
    "the same path twice": (_entry(b"a") + _entry(b"a"), "a path that is there twice"),
    "a file for a folder": (_entry(b"a") + _entry(b"a/b"), "a path that is there twice"),
    "too large": (_entry(b"a", b"", 1 << 62), "more than"),
    "too many": (b"".join(_entry(b"f%d" % i) for i in range(20)), "more than"),
    "half a file": (_entry(b"a", b"x", 10), "less than announced"),
    "half a header": (b"\0", "less than announced"),
    "nothing": (b"", "less than announced"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_forged_handover_is_refused(attempt: Try, tmp_path: Path, name: str) -> None:
    """The build finds the port where what runs it does, and speaks in its place."""
    stream, words = STREAMS[name]
    program = f"""
        import os, socket
        with socket.create_connection(("127.0.0.1", int(os.environ["HANDOVER"]))) as connection:
            connection.sendall({stream!r})
    """
    with pytest.raises(BadSubmission, match=f"made what cannot be taken over: .*{words}") as refused:
        attempt(program, handover=HandoverLimits(files=10))
    assert "at most 10 files, 768 MiB in all, 512 MiB each" in refused.value.fix
    assert not list(tmp_path.rglob("evil"))
    assert threading.active_count() < 50
