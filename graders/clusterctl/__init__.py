"""CLUSTER_CTL: a door to the control plane for a learner's program in its sandbox; no lab is known here.

door         its server and its grammar: four processes and the simulators of nodes, and etcd's data
ctlclient    what the program calls; runs in the sandbox by itself
records      a call as it is on record
"""
