"""A lab in which the control plane is lost, and a learner's script brings it back."""

from graders.definition import LabDefinition

LAB = LabDefinition(block="block:PhoenixBlock")
