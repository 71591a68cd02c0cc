"""No sandbox: the same life-cycle and limits on the bare host, for grading one's own code."""

from graders.sandbox.enclosure import Enclosure, Scratch, launch
from graders.sandbox.protocol import SandboxSpec, View
from graders.sandbox.supervision import SandboxedProcess


class PlainSandbox:
    """Runs a command as the user who grades, with the host's files and network in reach."""

    name = "none"
    caution = (
        "the submission ran without a sandbox, with every right of the user who graded it: "
        "its result can be trusted as far as its author"
    )

    def problem(self) -> str:
        """Nothing can be wrong with it."""
        return ""

    def start(self, spec: SandboxSpec) -> SandboxedProcess:
        """Start the command. The view has mounts elsewhere than at their targets, and none has a quota.

        Raises:
            BadSubmission: command and environment are larger than a sandbox takes.
            InfraFault: the launcher cannot be started.
        """
        scratch = Scratch.make(spec)
        submission = str(spec.submission.resolve())
        for name in ("home", "tmp", "work", "mounts"):
            (scratch.folder / name).mkdir()
        working_folder = str(scratch.folder / "work") if spec.writable_copy else submission
        copies = [(submission, working_folder)] if spec.writable_copy else []
        mounts = {}
        for number, mount in enumerate(spec.mounts):
            source = str(mount.source.resolve()) if mount.source else ""
            place = scratch.folder / "mounts" / str(number)
            if mount.writable:
                place.mkdir()
                copies += [(source, str(place))] if source else []
            mounts[mount.target] = str(place) if mount.writable else source
        view = View(
            submission=submission,
            working_folder=working_folder,
            files=str(scratch.files),
            home=str(scratch.folder / "home"),
            mounts=mounts,
        )
        return launch(
            spec,
            Enclosure(
                scratch, view, confined=False, temporary=str(scratch.folder / "tmp"), copies=tuple(copies)
            ),
        )
