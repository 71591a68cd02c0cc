"""Lab 2: a fleet of a hub and three spokes, and a release that goes from one to the next by Git.

scenario     from a hand-in to a record: `handin` looks through it, `prepared` has what a run needs
fleetrun     starts the fleet and ends it: `fleet` says what its clusters are, `engines` who deploys
schedule     which tracks run in what order; they share a `livefleet`, and act with a `context`
tracks/      what the grader does to a fleet, a module for each subject
checks/      what is judged of it, by `reading` the record; `panels` draws it
names        what the lab text fixes, `layout` where things are in the repository, `toolsets` the programs
attempts     what breaks R1 to R4; `preflight` commits of these, `rulebook` what a test breaks
driftcases   what of that which Git declares is changed behind its back
mesh         what is asked of mesh/; `posture` of SECURITY.md
"""

from graders.definition import LabDefinition

LAB = LabDefinition(block="block:Lab2Block", tools="toolsets:TOOLSETS", panels="panels:panels_of_tracks")
