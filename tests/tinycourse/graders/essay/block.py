"""The lab's part of submission.yaml."""

from graders.submissions.block import LabBlock, SubmissionPath


class EssayBlock(LabBlock):
    """The key `essay`, the file that is handed in."""

    essay: SubmissionPath
