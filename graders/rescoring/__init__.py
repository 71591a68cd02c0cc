"""Second thoughts: what is stored is judged or scored again with today's checks and rubric.

Nothing is recorded here and no cluster started; what is found is told before it is written.
"""

from graders.rescoring.changes import Change, CriterionChange
from graders.rescoring.plan import Need
from graders.rescoring.rescore import Rescored, rescore

__all__ = ["Change", "CriterionChange", "Need", "Rescored", "rescore"]
