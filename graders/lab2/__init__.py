"""Lab 2: a fleet of a hub and three spokes, and a release that goes from one to the next by Git."""

from graders.definition import LabDefinition

LAB = LabDefinition(block="block:Lab2Block", tools="toolsets:TOOLSETS", panels="panels:panels_of_tracks")
