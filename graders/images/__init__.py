"""Images made from a learner's Dockerfile: read strictly, built with no network and within limits.

`dockerfile` reads and rewrites, `context` packs, `bases` has what images may start from and `additions` what
a submission needs beyond them. In a `workshop` images are made: `builder` builds, `engine` is the Docker
engine that does it, `transcript` what it says. `undo` removes what a dead run left. Nothing here talks to a
cluster.
"""
