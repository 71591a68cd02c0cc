"""What backup, restore and verify share: the API, the control plane, and how backups are read."""

import base64
import hashlib
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import urllib3

NAMESPACE, CRD = "serving", "models.registry.mod201.dev"
KINDS = (
    "/api/v1/namespaces/serving/serviceaccounts",
    "/api/v1/namespaces/serving/secrets",
    "/api/v1/namespaces/serving/configmaps",
    "/apis/registry.mod201.dev/v1alpha1/namespaces/serving/models",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/serving/roles",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/serving/rolebindings",
    "/api/v1/namespaces/serving/services",
    "/apis/policy/v1/namespaces/serving/poddisruptionbudgets",
    "/apis/apps/v1/namespaces/serving/deployments",
)
NAMESPACE_PATH = "/api/v1/namespaces/serving"
CRD_PATH = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{CRD}"
LEDGER, PROBE = "mod201.dev/ledger", "mod201.dev/probe"


def say(event, step):
    """One line for whoever reads along."""
    print(json.dumps({"event": event, "step": step, "at": time.time()}), flush=True)


class Api:
    """The API server, as KUBECONFIG says."""

    def __init__(self):
        config = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server = cluster["server"]
        folder = Path(tempfile.mkdtemp())
        files = {}
        for name, data in (
            ("ca", cluster["certificate-authority-data"]),
            ("crt", user["client-certificate-data"]),
            ("key", user["client-key-data"]),
        ):
            files[name] = folder / name
            files[name].write_bytes(base64.b64decode(data))
        self.pool = urllib3.PoolManager(
            ca_certs=str(files["ca"]), cert_file=str(files["crt"]), key_file=str(files["key"]), maxsize=16
        )

    def request(self, method, path, body=None, content="application/json", timeout=5.0):
        """Status and decoded body; 0 where nobody answers."""
        headers = {"Accept": "application/json", "Content-Type": content}
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(
                method, self.server + path, body=data, headers=headers, timeout=timeout, retries=False
            )
        except urllib3.exceptions.HTTPError:
            return 0, None
        return answer.status, json.loads(answer.data) if answer.data.startswith(b"{") else None

    def get(self, path):
        """The object at a path; an error if it cannot be had."""
        status, body = self.request("GET", path, timeout=10.0)
        if status != 200:
            raise SystemExit(f"GET {path}: {status}")
        return body

    def ready(self):
        """Whether the API server says that it is ready."""
        return self.request("GET", "/readyz", timeout=2.0)[0] == 200


def control(*words):
    """Ask the control plane; what it prints."""
    done = subprocess.run([os.environ["CLUSTER_CTL"], *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"CLUSTER_CTL {' '.join(words)}: {done.stderr}")
    return done.stdout


def states():
    """Each process and the data: `{"etcd": "running", …, "data": "present"}`."""
    return dict(line.split() for line in control("status").splitlines())


def until(condition, what, timeout_s):
    """Wait for a condition."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come within {timeout_s} s")
        time.sleep(0.1)


def digest(path):
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def good_backups():
    """Folders of backups whose digests hold, the newest first: names and times of folders say nothing."""
    found = []
    for folder in Path(os.environ["BACKUP_DIR"]).iterdir():
        try:
            written = json.loads((folder / "MANIFEST.json").read_text())
            if all(digest(folder / name) == told for name, told in written["sha256"].items()):
                found.append((written["created"], folder))
        except (OSError, ValueError, KeyError):
            continue
    return [folder for _, folder in sorted(found, reverse=True)]


def newest_backup():
    """The newest good backup; ends with an error where there is none."""
    found = good_backups()
    if not found:
        raise SystemExit("there is no backup whose digests hold")
    return found[0]


def exported(folder):
    """The objects of a backup, by the path of their collection; namespace and CRD by their own."""
    return json.loads((folder / "objects.json").read_text())


def is_kept(item):
    """Whether an object is somebody's: probes, and what the cluster makes by itself, are not."""
    name, labels = item["metadata"]["name"], item["metadata"].get("labels") or {}
    made_anew = name == "kube-root-ca.crt" or item["metadata"].get("namespace") and name == "default"
    return PROBE not in labels and not made_anew


def content(item):
    """What of an object somebody wrote."""
    return {key: value for key, value in item.items() if key not in ("metadata", "status", "kind", "apiVersion")}


def serves(api):
    """Whether all replicas of the predictor are ready addresses of its Service."""
    status, deployment = api.request("GET", "/apis/apps/v1/namespaces/serving/deployments/predictor")
    if status != 200:
        return False
    path = "/apis/discovery.k8s.io/v1/namespaces/serving/endpointslices"
    status, slices = api.request("GET", f"{path}?labelSelector=kubernetes.io/service-name%3Dpredictor")
    if status != 200:
        return False
    ready = sum(
        len(endpoint["addresses"])
        for each in slices["items"]
        for endpoint in each.get("endpoints") or ()
        if endpoint["conditions"].get("ready")
    )
    return ready >= max(2, deployment["spec"]["replicas"])
