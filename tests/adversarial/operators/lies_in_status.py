"""Its CRD takes any status; it writes what no status should be, over and over."""

import itertools
import time

import api

BIG = "<img src=x onerror=alert(1)>\x1b[2J" * 8_000
STATUSES = (
    {"conditions": "none", "replicaStatuses": [1, 2], "startTime": 5, "restarts": "many"},
    {"conditions": [None, 1, "x", {"type": 5}, {"type": "Running"}, {"status": "True"}], "restarts": -1},
    {"conditions": [{"type": "Running", "status": BIG, "reason": BIG, "lastTransitionTime": BIG}]},
    {"conditions": {"type": "Complete"}, "completionTime": {"a": 1}, "observedGeneration": [9]},
    {"conditions": [{"type": "Failed", "status": True, "lastTransitionTime": "yesterday"}], "startTime": BIG},
    "done",
    ["done"],
    7,
)

for status in itertools.cycle(STATUSES):
    for job in api.jobs():
        meta = job["metadata"]
        path = f"{api.JOBS}/namespaces/{meta['namespace']}/mltrainingjobs/{meta['name']}/status"
        body = {**job, "status": status}
        print(type(status).__name__, api.ask("PUT", path, body)[0], flush=True)
        event = {
            "metadata": {"generateName": "lie-"},
            "involvedObject": {"kind": "MLTrainingJob", "name": meta["name"], "namespace": meta["namespace"]},
            "reason": "<script>alert(2)</script>",
            "message": "\x1b]0;title\x07\u202e<b>bold</b>",
        }
        api.ask("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)
    time.sleep(0.3)
