"""Tells whether reports that were handed in can be believed: signature, submission, record, a new grading.

It trusts nothing that a learner could have written, and calls nothing forged that it could not look at.
"""

from graders.verification.findings import Finding, Judgement
from graders.verification.handins import HandIn, hand_ins
from graders.verification.verify import VerifyRequest, verify

__all__ = ["Finding", "HandIn", "Judgement", "VerifyRequest", "hand_ins", "verify"]
