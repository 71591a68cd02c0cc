"""Lab 1: an operator for training jobs, disturbed at every write."""

from graders.definition import LabDefinition, LabOption

LAB = LabDefinition(
    scenario="scenario",
    block="manifest:Lab1Block",
    options=(
        LabOption(
            name="at",
            metavar="K",
            help="Kill the operator after its K-th write alone, once with the answer to it and once without. "
            "A report's disturbances say which K went wrong.",
            with_check="crash-points",
        ),
    ),
)
