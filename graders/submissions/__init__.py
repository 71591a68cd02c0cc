"""What a learner hands in, checked and copied before anything else looks at it.

Everything in a submission is hostile until it went through here: archives, links, names, sizes, YAML.
"""

from graders.submissions.block import LabBlock, SubmissionPath
from graders.submissions.limits import SubmissionLimits
from graders.submissions.load import SCHEMA, digest_of, load_submission, snapshot
from graders.submissions.survey import MANIFEST

__all__ = [
    "MANIFEST",
    "SCHEMA",
    "LabBlock",
    "SubmissionLimits",
    "SubmissionPath",
    "digest_of",
    "load_submission",
    "snapshot",
]
