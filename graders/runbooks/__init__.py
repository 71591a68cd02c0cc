"""A learner's runbook of disaster recovery: its scripts in their sandboxes, and what they back up.

No lab is known here. Where a script is asked for, when, and what of it counts, is for whoever starts it.

environment what scripts are run with: the sandbox, its runtime, kubectl, clients of etcd, CLUSTER_CTL
scripts     backup, restore and verify, each to its end, with doors to the API server, etcd and CLUSTER_CTL
schedule    a backup every few seconds, each sealed
sealed      backups as they were left, read-only
corruption  copies of backups that are not what they were
tools       the clients of etcd
"""
