"""A lab without a cluster."""

from graders.definition import LabDefinition

LAB = LabDefinition(block="block:EssayBlock")
