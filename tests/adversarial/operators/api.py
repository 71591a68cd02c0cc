"""The least an operator needs to speak to its API server, from the kubeconfig it was given."""

import base64
import json
import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

CONFIG = json.loads(Path(os.environ["KUBECONFIG"]).read_text())
SERVER = CONFIG["clusters"][0]["cluster"]["server"]
TOKEN = CONFIG["users"][0]["user"]["token"]
HOST, PORT = urlsplit(SERVER).hostname, urlsplit(SERVER).port
CONTEXT = ssl.create_default_context(
    cadata=base64.b64decode(CONFIG["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
)
JOBS = "/apis/training.mod201.dev/v1alpha1"
MERGE = "application/merge-patch+json"

pool = urllib3.PoolManager(maxsize=64, ssl_context=CONTEXT, retries=False, timeout=20)


def ask(method, path, body=None, *, content_type="application/json", headers=None):
    """One request; gives status and decoded body, or 0 and the error."""
    heads = {"Authorization": f"Bearer {TOKEN}", "Content-Type": content_type, **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        response = pool.request(method, SERVER + path, body=data, headers=heads)
        return response.status, json.loads(response.data or b"null")
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return 0, f"{type(error).__name__}: {error}"


def jobs():
    """All jobs of the cluster."""
    code, found = ask("GET", f"{JOBS}/mltrainingjobs")
    return found["items"] if code == 200 else []


def wait_for_job():
    """The first job there is."""
    while True:
        found = jobs()
        if found:
            return found[0]
        time.sleep(0.1)
