"""What lanes act in: the cluster, the workload on it, and what watches, writes and backs up.

cluster     the cluster of a lane: two zones, and a user for disaster recovery
context     what a lane acts with
bringup     brings a lane up
lane        a lane that is up
workload    the learner's objects, and the grader's canary namespace
states      healthy, and the three ways to be sick
"""
