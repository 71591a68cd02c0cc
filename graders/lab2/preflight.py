"""Commits that the preflight is tried on: some are good, some break a rule or release what is unsigned."""

from base64 import b64encode

from graders.admission.attempts import (
    Change,
    in_first_container,
    with_init_container,
    with_second_container,
)
from graders.admission.specimens import Manifest, config_map, container, pod, service, workload_of
from graders.gitops.releasefile import ReleaseFile
from graders.gitops.trials import TriedCommit
from graders.lab2.attempts import BARE, WITHOUT_CPU, writable_roots
from graders.lab2.extras import extra_files
from graders.lab2.images import NOT_OURS, WEB, digest_of
from graders.lab2.names import NAMESPACE

GOOD, BAD = "good", "bad"
SIGNED, NOT_SIGNED = "signed", "not-signed"
"""Kinds of commits: those of the second pair release a version."""


def cases(registry: str, image: str) -> list[TriedCommit]:
    """Each rule broken in some environment, each environment more than once; and what breaks none."""

    def made(name: str, change: Change, kind: str = "Deployment") -> Manifest:
        item = pod(f"lab-{name}", image, NAMESPACE)
        change(item)
        return workload_of(kind, item)

    def exposed(name: str, **spec: object) -> Manifest:
        return service(f"lab-{name}", namespace=NAMESPACE, **spec)

    writable, unsaid = writable_roots(image)
    side = {**container(image, "side"), "securityContext": writable}
    bounded = {**container(image, "init"), "resources": WITHOUT_CPU}
    named = {"name": "lab-secret", "namespace": NAMESPACE}
    secret: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": named}
    phrase = "correct horse battery staple"
    alike = f"{registry}0/web@{image.rpartition('@')[2]}"
    bad = {
        "r1-dev": ("dev", made("r1", in_first_container(image=f"{registry}/web:latest"))),
        "r1-prod": ("prod", made("r1", with_init_container(container(alike, "init")), "StatefulSet")),
        "r2-staging": ("staging", made("r2", in_first_container(resources=BARE))),
        "r2-init-dev": ("dev", made("r2", with_init_container(bounded))),
        "r3-prod": ("prod", made("r3", with_second_container(side), "Job")),
        "r3-staging": ("staging", made("r3", in_first_container(securityContext=unsaid))),
        "r4-dev": ("dev", exposed("r4", type="ExternalName", externalName="lab.example")),
        "r4-prod": ("prod", exposed("r4", externalIPs=["203.0.113.7"])),
        "secret-staging": ("staging", {**secret, "stringData": {"token": phrase}}),
        "secret-prod": ("prod", {**secret, "data": {"token": b64encode(phrase.encode()).decode()}}),
    }
    two = pod("lab-two", image, NAMESPACE)
    with_second_container(container(image, "side"))(two)
    good = {
        "map-dev": ("dev", config_map("lab-map", NAMESPACE)),
        "deployment-staging": ("staging", workload_of("Deployment", pod("lab-fine", image, NAMESPACE))),
        "headless-prod": ("prod", exposed("headless", clusterIP="None")),
        "two-containers-dev": ("dev", workload_of("Deployment", two)),
    }
    found = [
        TriedCommit(name, BAD, extra_files(where, {"item.yaml": item})) for name, (where, item) in bad.items()
    ]
    found += [
        TriedCommit(name, GOOD, extra_files(where, {"item.yaml": item}))
        for name, (where, item) in good.items()
    ]
    return [*found, TriedCommit("text", GOOD, {"docs/another.txt": b"Nothing of this is deployed.\n"})]


def releases(registry: str, release: ReleaseFile, raw: bytes) -> list[TriedCommit]:
    """A release of a version that is signed, and of some that are not, or not by the lab."""

    def of(version: str) -> dict[str, bytes | None]:
        return {release.file: release.placed(raw, f"{registry}/{WEB}@{digest_of(version)}")}

    found = [TriedCommit(f"release-{version}", NOT_SIGNED, of(version)) for version in NOT_OURS]
    return [*found, TriedCommit("release-v2", SIGNED, of("v2"))]
