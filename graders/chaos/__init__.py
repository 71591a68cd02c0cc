"""Chaos experiments against one cluster, as a ServiceAccount of the learner's; no lab is known here.

running       experiments of any format, each by what runs it; `spec` says what, with what, and how
session       what all runs against one cluster share, and how a run is put on record
toolkit       Chaos Toolkit in its sandbox
resources     custom resources of Chaos Mesh and Litmus, by executors of ours
chaosmesh     reads PodChaos, Schedule and Workflow; `crds` knows their fields
litmus        reads ChaosEngines; `chaosengine` knows their fields
steps         what both come down to; `injecting` and `nodes` do it, `pauses` is where they can be stopped
hypotheses    asks `commands` and `probes`, before, during and after
baseline      what an experiment must leave as it was
account       the ServiceAccount that all of it acts as
records       a run as it is on record, with its journal, which `journal` writes and `reading` reads
effects       what runs changed, by the audit log and watches
"""
