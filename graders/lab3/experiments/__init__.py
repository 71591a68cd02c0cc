"""Chaos experiments of a learner's: how they are run, in which states of the workload, beside what.

running     Chaos Toolkit in its sandbox, as the experiments' ServiceAccount
states      healthy, and the three ways to be sick
baseline    what an experiment must leave as it was
"""
