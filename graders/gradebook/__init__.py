"""Gradebooks: a class's grades, handed in wherever a university wants them.

It knows nothing of where grades are kept; whoever keeps them makes a `GradebookModel`. It decides no points.
"""

from graders.gradebook.exporter import Exported, ExportOptions, GradeExporter
from graders.gradebook.model import (
    Adjustment,
    AdjustmentKind,
    CriterionGrade,
    GradebookLearner,
    GradebookModel,
    GradeState,
    LabColumn,
    LabGrade,
    Loss,
)
from graders.gradebook.registry import FORMATS, export, exporter_of, write_export

__all__ = [
    "FORMATS",
    "Adjustment",
    "AdjustmentKind",
    "CriterionGrade",
    "ExportOptions",
    "Exported",
    "GradeExporter",
    "GradeState",
    "GradebookLearner",
    "GradebookModel",
    "LabColumn",
    "LabGrade",
    "Loss",
    "export",
    "exporter_of",
    "write_export",
]
