"""An API server that has the kinds of a mesh says which of its manifests would never be in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from graders.lab2.records import MeshAnswer
from graders.lab2.tracks.meshing import mesh_answers
from graders.paths import REPOSITORY
from graders.progress import Silent

pytestmark = pytest.mark.cluster

ISTIO = (REPOSITORY / "solutions" / "lab2" / "reference" / "mesh" / "istio.yaml").read_text()
LINKERD = """
apiVersion: v1
kind: Namespace
metadata: {name: web, annotations: {config.linkerd.io/default-inbound-policy: deny}}
---
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: web, namespace: web}
spec: {podSelector: {matchLabels: {app: web}}, port: 8080, accessPolicy: deny}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: callers, namespace: web}
spec: {identities: [gateway.gateway.serviceaccount.identity.linkerd.cluster.local]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: web, namespace: web}
spec:
  targetRef: {group: policy.linkerd.io, kind: Server, name: web}
  requiredAuthenticationRefs: [{group: policy.linkerd.io, kind: MeshTLSAuthentication, name: callers}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: web}
spec: {parentRefs: [{name: web, kind: Server, group: policy.linkerd.io}]}
---
apiVersion: k8s.cni.cncf.example/v1
kind: NetworkAttachmentDefinition
metadata: {name: of-somebody-else, namespace: web}
"""
BAD_ISTIO = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a-value-that-is-none, namespace: web}
spec: {mtls: {mode: STRICTLY}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a-field-that-is-none, namespace: web}
spec: {mtls: {mode: STRICT}, portLevelMTLS: {"8080": {mode: STRICT}}}
---
apiVersion: security.istio.io/v2
kind: AuthorizationPolicy
metadata: {name: a-version-that-is-none, namespace: web}
spec: {}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: a-port-without-a-name, namespace: web}
spec: {selector: {istio: gateway}, servers: [{port: {number: 15443, protocol: TLS}, hosts: ["*"]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: Not_A_Name, namespace: web}
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a-list-that-is-none, namespace: web}
spec: {rules: {from: []}}
"""
BAD_LINKERD = """
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata: {name: no-port, namespace: web}
spec: {podSelector: {}}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: MeshTLSAuthentication
metadata: {name: both-of-two, namespace: web}
spec: {identities: ["*"], identityRefs: [{kind: ServiceAccount, name: web}]}
---
apiVersion: policy.linkerd.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: nobody-is-asked-for, namespace: web}
spec: {targetRef: {kind: Server, name: web}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: of-the-other-mesh, namespace: web}
spec: {mtls: {mode: STRICT}}
"""


def asked(mesh: str, text: str) -> Sequence[MeshAnswer]:
    objects: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    answers = list(mesh_answers(mesh, objects, lambda: 1.0, Silent()))
    assert len(answers) == len(objects)
    return answers


@pytest.mark.parametrize(("mesh", "text"), [("istio", ISTIO), ("linkerd", LINKERD)], ids=["istio", "linkerd"])
def test_what_a_mesh_understands_is_taken_and_what_is_somebody_else_s(mesh: str, text: str) -> None:
    assert [(each.name, each.message) for each in asked(mesh, text) if each.code not in (200, 201)] == []


@pytest.mark.parametrize(
    ("mesh", "text"), [("istio", BAD_ISTIO), ("linkerd", BAD_LINKERD)], ids=["istio", "linkerd"]
)
def test_what_a_mesh_does_not_know_is_refused_by_name(mesh: str, text: str) -> None:
    answers = asked(mesh, text)
    assert [each.name for each in answers if each.code < 300] == []
    assert [each.name for each in answers if each.code not in (400, 404, 422)] == []
    assert [each.name for each in answers if not each.message] == []


def test_nothing_is_asked_where_there_is_nothing() -> None:
    assert list(mesh_answers("istio", [], lambda: 1.0, Silent())) == []
