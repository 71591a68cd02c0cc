"""A Docker engine: one that answers, or one of ours that puts the machine back as it was.

`probing` looks for one, `dockerd` has one for as long as a block runs, `undo` takes back what ours did to the
machine. This package knows no cluster.
"""
