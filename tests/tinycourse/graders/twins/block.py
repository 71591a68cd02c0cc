"""The lab's part of submission.yaml."""

from graders.submissions.block import LabBlock


class TwinsBlock(LabBlock):
    """The key `command`, the program that is handed in."""

    command: list[str]
