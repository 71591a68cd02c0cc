"""A lab of two clusters at once, and a Git server that a learner's program may reach."""

from graders.definition import LabDefinition

LAB = LabDefinition(block="block:TwinsBlock")
