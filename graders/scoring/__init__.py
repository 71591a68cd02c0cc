"""Scoring: what outcomes earn by a rubric; reads no evidence and judges nothing."""

from graders.scoring.rubric import load_rubric
from graders.scoring.score import score

__all__ = ["load_rubric", "score"]
