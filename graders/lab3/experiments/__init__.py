"""Chaos experiments of a learner's: how they are run, in which states of the workload, beside what.

running       experiments of any format, each by what runs it; `way` says how
toolkit       Chaos Toolkit in its sandbox
resources     custom resources of Chaos Mesh and Litmus, by executors of ours
chaosmesh     reads PodChaos, Schedule and Workflow; `crds` knows their fields
litmus        reads ChaosEngines; `chaosengine` knows their fields
steps         what both come down to; `injecting` and `nodes` do it, `pauses` is where they can be stopped
hypotheses    asks commands and probes, before, during and after
account       the ServiceAccount that all of it acts as
states        healthy, and the three ways to be sick
baseline      what an experiment must leave as it was
"""
