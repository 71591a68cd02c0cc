"""Tells whether reports that were handed in can be believed: signature, submission, record, a new grading.

It trusts nothing that a learner could have written, and calls nothing forged that it could not look at.
"""

from graders.verification.findings import Judgement, VerifiedReport
from graders.verification.handins import HandedIn, hand_ins
from graders.verification.verify import VerifyRequest, verify

__all__ = ["HandedIn", "Judgement", "VerifiedReport", "VerifyRequest", "hand_ins", "verify"]
