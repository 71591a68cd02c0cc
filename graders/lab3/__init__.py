"""Lab 3: chaos experiments, and a cluster that is lost and recovered in measured time."""

from graders.definition import LabDefinition

LAB = LabDefinition(
    scenario="scenario",
    block="block:Lab3Block",
    tools="runtimes:TOOLSETS",
    runtimes="runtimes:LOCKS",
    cluster="environment.cluster:cluster_spec",
    drills="drills",
    panels="panels:panels_of_drills",
)
