"""The run inside a cluster of real nodes: the learner's image as the operator, and jobs that really train.

`image` builds, `deployment` says what is deployed, `training` what jobs do (`program` is what runs in their
pods), `environment` and `context` are where and with what the track acts,
`diagnosis` reads what is wrong with a pod.
"""
