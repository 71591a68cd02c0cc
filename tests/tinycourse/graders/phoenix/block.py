"""The lab's part of submission.yaml."""

from graders.submissions.block import LabBlock


class PhoenixBlock(LabBlock):
    """The key `command`, the script that is handed in."""

    command: list[str]
