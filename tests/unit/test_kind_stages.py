"""kind's own words become steps of a progress bar, and its complaint an error's text."""

from __future__ import annotations

from graders.clusters.kind.stages import Stages, plain, steps

SAID = """\
Creating cluster "kubeproof-00" ...
 • Ensuring node image (kubeproof/node:v1.37.2) 🖼️  ...
 ✓ Ensuring node image (kubeproof/node:v1.37.2) 🖼️
 • Preparing nodes 📦 📦   ...
 ✓ Preparing nodes 📦 📦 
 • Writing configuration 📜  ...
 ✓ Writing configuration 📜
 • Starting control-plane 🕹️  ...
 ✓ Starting control-plane 🕹️
 • Installing CNI 🔌  ...
 ✓ Installing CNI 🔌
 • Installing StorageClass 💾  ...
 ✓ Installing StorageClass 💾
 • Joining worker nodes 🚜  ...
 ✓ Joining worker nodes 🚜
Set kubectl context to "kind-kubeproof-00"
"""  # noqa: W291  (kind's own blank)


class Shown:
    """Keeps what a progress bar would show."""

    def __init__(self) -> None:
        self.updates: list[tuple[float | None, str]] = []

    def update(self, *, done: float | None = None, total: float | None = None, detail: str = "") -> None:
        assert total is None
        self.updates.append((done, detail))


def told(text: str) -> tuple[Stages, Shown]:
    shown = Shown()
    stages = Stages(shown)
    for line in text.splitlines():
        stages(line)
    return stages, shown


def test_each_step_shows_as_it_begins_and_counts_when_it_is_done() -> None:
    _, shown = told(SAID)

    assert shown.updates[:3] == [
        (0, "ensuring node image (kubeproof/node:v1.37.2)"),
        (1, "ensuring node image (kubeproof/node:v1.37.2)"),
        (1, "preparing nodes"),
    ]
    assert shown.updates[-1] == (steps(workers=1), "joining worker nodes")
    assert steps(workers=0) == steps(workers=3) - 1


def test_pictures_and_spare_blanks_are_left_out() -> None:
    assert plain("Starting control-plane 🕹️ ") == "starting control-plane"
    assert plain("Preparing nodes 📦 📦 📦 ") == "preparing nodes"


def test_the_complaint_begins_where_kind_says_error() -> None:
    stages, _ = told(
        SAID + 'ERROR: failed to create cluster: failed to init node\n\nCommand Output: I1 "a"\nno'
    )

    assert stages.complaint.startswith(
        "ERROR: failed to create cluster: failed to init node\nCommand Output:"
    )
    assert stages.complaint.endswith("\nno")
    assert stages.last == "joining worker nodes"


def test_without_such_a_word_it_is_the_last_lines() -> None:
    stages, shown = told("\n".join(f"line {number}" for number in range(100)))

    assert stages.complaint.splitlines()[0] == "line 85"
    assert stages.complaint.splitlines()[-1] == "line 99"
    assert shown.updates == []
    assert stages.last == ""
