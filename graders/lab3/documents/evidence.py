"""`evidence/<scenario>.json`: a drill of lab 3's on record."""

from typing import Annotated, Literal

from pydantic import Field

from graders.recovery.evidence import RecoveryEvidence


class DrillEvidence(RecoveryEvidence):
    """One drill, in the schema of lab 3."""

    declared: Annotated[Literal["kubeproof/lab3-drill/v1"], Field(alias="schema")]
