"""The Kubernetes API over one connection: JSON in, JSON out."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 10.0


class Refused(Exception):
    """The API server said no, or nothing."""


class Api:
    """A client bound to one API server, for one thread."""

    def __init__(self) -> None:
        if "KUBECONFIG" in os.environ:
            config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
            cluster = config["clusters"][0]["cluster"]
            self.host = str(cluster["server"]).removeprefix("https://")
            self.token = str(config["users"][0]["user"]["token"])
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        else:
            self.host = os.environ["KUBERNETES_SERVICE_HOST"]
            self.host += ":" + os.environ["KUBERNETES_SERVICE_PORT"]
            self.token = (ACCOUNT / "token").read_text()
            authority = (ACCOUNT / "ca.crt").read_text()
        self.context = ssl.create_default_context(cadata=authority)
        self.line: http.client.HTTPSConnection | None = None

    def items(self, path: str) -> list[dict[str, Any]]:
        """The objects of a list."""
        found: list[dict[str, Any]] = self.call("GET", path)["items"]
        return found

    def apply(self, path: str, wanted: dict[str, Any]) -> None:
        """Have an object be there as it is wanted."""
        place = f"{path}/{wanted['metadata']['name']}?fieldManager=mltj-operator&force=true"
        self.call("PATCH", place, wanted, "application/apply-patch+yaml")

    def call(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> dict[str, Any]:
        """Send a request.

        Raises:
            Refused: it was not answered, or not with success.
        """
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        try:
            if self.line is None:
                self.line = http.client.HTTPSConnection(
                    self.host, context=self.context, timeout=TIMEOUT_S
                )
            self.line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self.line.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.line = None
            raise Refused(f"{method} {path}: {error}") from error
        if answer.status >= 300:
            raise Refused(f"{method} {path}: {answer.status}")
        found: dict[str, Any] = json.loads(text)
        return found
