"""Tries what is not its business, and prints one line for each try."""

import socket
import time
from pathlib import Path

import api


def tell(what, reached):
    print(("REACHED " if reached else "refused ") + what, flush=True)


def dials(host, port):
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


api.jobs()
for host, port in (("1.1.1.1", 443), ("169.254.169.254", 80), ("127.0.0.1", 2379), ("10.96.0.1", 443)):
    tell(f"{host}:{port}", dials(host, port))
try:
    socket.getaddrinfo("example.org", 443)
    tell("a name server", True)
except OSError:
    tell("a name server", False)
for pattern in (
    "/tmp/kubeproof-*/*/grader.kubeconfig",
    "/tmp/**/grader.kubeconfig",
    "/" + "root/.kube/config",
    "/home/*/.kube/config",
    "/proc/1/" + "root/etc/shadow",
    "/submission/../solutions",
):
    tell(pattern, list(Path("/").glob(pattern.removeprefix("/"))))
tell("other processes", len(list(Path("/proc").glob("[0-9]*"))) > 2)
for path in (
    "/api/v1/secrets",
    "/api/v1/namespaces/kube-system/secrets",
    "/api/v1/namespaces/default/configmaps",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/api/v1/nodes/node-a1/proxy/",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests",
):
    tell(path, api.ask("GET", path)[0] == 200)
as_admin = {"Impersonate-User": "kubeproof-grader", "Impersonate-Group": "system:masters"}
tell("impersonation", api.ask("GET", "/api/v1/secrets", headers=as_admin)[0] == 200)
token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
account = "/api/v1/namespaces/kube-system/serviceaccounts/generic-garbage-collector/token"
tell("another account's token", api.ask("POST", account, token)[0] in (200, 201))
binding = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "mine"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": "mltj-operator", "namespace": "mltj-system"}],
}
bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
tell("rights of an administrator", api.ask("POST", bindings, binding)[0] == 201)
print("done looking", flush=True)
while True:
    time.sleep(3600)
