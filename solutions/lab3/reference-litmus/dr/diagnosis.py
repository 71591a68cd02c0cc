"""Nobody says what happened: look, mend the least that explains it, and never restore over data."""

import json
import subprocess

import controlplane
import namespace
from common import CRD_PATH, NAMESPACE_PATH, Api, say, states, until

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


def recover():
    """Look at processes, data, space, namespace and admission, in this order."""
    api = Api()
    if "stopped" in states().values() or states()["data"] == "empty":
        controlplane.recover()
        until(api.ready, "the API server", 40)
    disarm()
    if any(api.request("GET", path)[0] == 404 for path in (NAMESPACE_PATH, CRD_PATH)):
        namespace.recover()
    admission(api)


def disarm():
    """Where etcd refuses writes for want of space: compact, defragment, take the alarm back."""
    alarms = subprocess.run(["etcdctl", "alarm", "list"], capture_output=True, text=True, check=True).stdout
    if "NOSPACE" not in alarms:
        return
    say("mend", "NOSPACE")
    status = subprocess.run(["etcdctl", "endpoint", "status", "-w", "json"], capture_output=True, check=True)
    revision = json.loads(status.stdout)[0]["Status"]["header"]["revision"]
    for words in (["compaction", str(revision)], ["defrag"], ["alarm", "disarm"]):
        subprocess.run(["etcdctl", *words], check=True, stdout=subprocess.DEVNULL)


def admission(api):
    """Try a pod; a webhook that does not answer, and keeps it out, goes."""
    pod = {
        "metadata": {"name": "dr-canary"},
        "spec": {"containers": [{"name": "canary", "image": "canary"}]},
    }
    status, answer = api.request("POST", f"{NAMESPACE_PATH}/pods?dryRun=All", pod, timeout=15.0)
    if status in (200, 201, 409):
        return
    refused = str((answer or {}).get("message", ""))
    for each in api.get(WEBHOOKS)["items"]:
        if any(f'"{hook["name"]}"' in refused for hook in each.get("webhooks") or ()):
            say("mend", f"webhook {each['metadata']['name']}")
            api.request("DELETE", f"{WEBHOOKS}/{each['metadata']['name']}")
