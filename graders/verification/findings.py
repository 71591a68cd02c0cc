"""What a look at one report came to."""

from dataclasses import dataclass
from enum import StrEnum


class Judgement(StrEnum):
    """Whether a report can be believed, the worst first."""

    FORGED = "forged"
    """The signature is not yours, or does not fit what was handed in."""
    UNREADABLE = "unreadable"
    """It is no report of kubeproof's."""
    OTHER_SUBMISSION = "other submission"
    """It is a report of something else than what was handed in."""
    DIFFERS = "differs"
    """A new look at the same record, or a new grading, gives other points."""
    UNVERIFIED = "unverified"
    """It could not be looked at: the submission is missing, or the new grading came to nothing."""
    CONSISTENT = "consistent"
    """Nothing speaks against it, and it was not graded again."""
    CONFIRMED = "confirmed"
    """A new grading gives the same points."""

    @property
    def suspicious(self) -> bool:
        """Whether somebody has to look at it."""
        return self in (Judgement.FORGED, Judgement.UNREADABLE, Judgement.OTHER_SUBMISSION, Judgement.DIFFERS)


@dataclass(frozen=True)
class VerifiedReport:
    """The judgement of one learner's report; `told` are reasons and remarks, one sentence each."""

    learner: str
    judgement: Judgement
    told: tuple[str, ...] = ()
    claimed: str = ""
    """The points that the report claims, as a person writes them."""
    found: str = ""
    """The points of the new grading; empty where there was none."""
