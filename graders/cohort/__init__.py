"""The people of a course and its rules about time: roster, due dates, late days, attempts; and final results.

What a submission earned comes from evidence. What a course then makes of it, a late penalty, a person's
override, an excuse, is worked out here, from plain values, and told in lines of its own.
"""

from graders.cohort.final import Final, FinalState, LabAttempt, LabWork, Line, LineKind, Override, finals
from graders.cohort.instants import Extension
from graders.cohort.policy import CoursePolicy, LabPolicy, LatePolicy, load_policy, policy_from, policy_text
from graders.cohort.roster import Learner, Roster, load_roster
from graders.cohort.spreadsheet import harmless

__all__ = [
    "CoursePolicy",
    "Extension",
    "Final",
    "FinalState",
    "LabAttempt",
    "LabPolicy",
    "LabWork",
    "LatePolicy",
    "Learner",
    "Line",
    "LineKind",
    "Override",
    "Roster",
    "finals",
    "harmless",
    "load_policy",
    "load_roster",
    "policy_from",
    "policy_text",
]
