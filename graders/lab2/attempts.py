"""What is tried directly against a spoke: each breaks one of R1 to R4, a signature, or nothing; pure."""

from collections.abc import Mapping
from dataclasses import replace

from graders.admission.attempts import (
    Attempt,
    Change,
    ephemeral,
    in_first_container,
    with_init_container,
    with_second_container,
)
from graders.admission.specimens import Manifest, container, pod, service, workload_of

SHORT = "sha256:abcdef"
BARE: Manifest = {"requests": {"cpu": "10m", "memory": "16Mi"}}
"""Resources that break R2: they have no limit."""
WITHOUT_CPU: Manifest = {"requests": {"memory": "16Mi"}, "limits": {"memory": "16Mi"}}


def writable_roots(image: str) -> tuple[Manifest, Manifest]:
    """Security contexts that break R3: a root file system may be written to, or it is not said."""
    written = {**container(image)["securityContext"], "readOnlyRootFilesystem": False}
    return written, {key: value for key, value in written.items() if key != "readOnlyRootFilesystem"}


def breaking(registry: str, image: str, namespace: str) -> list[Attempt]:
    """Attempts that break R1 to R4; `image` is one that breaks nothing."""
    foreign = "docker.io/library/nginx:1.27"
    whole_digest = image.rpartition("@")[2]
    images = {
        "foreign": foreign,
        "tag": f"{registry}/web:latest",
        "short-digest": f"{registry}/web@{SHORT}",
        "one-digit-more": f"{registry}0/web@{whole_digest}",
        "looks-alike": f"evil.example/{registry}/web@{whole_digest}",
        "long-digest": f"{image}0",
        "no-digit": f"{image[:-1]}g",
    }

    def made(case: str, change: Change) -> Manifest:
        item = pod(f"lab-{case}", image, namespace)
        change(item)
        return item

    found = [
        Attempt(f"r1-{case}", "R1", made(f"r1-{case}", in_first_container(image=each)))
        for case, each in images.items()
    ]
    found.append(Attempt("r1-init", "R1", made("r1-init", with_init_container(container(foreign, "init")))))
    found.append(Attempt("r1-ephemeral", "R1", ephemeral(foreign, "foreign"), "ephemeral"))
    found.append(
        Attempt("r1-changed", "R1", {"spec": {"containers": [{"name": "main", "image": foreign}]}}, "patch")
    )
    unbounded = {**container(image, "init"), "resources": {}}
    writable, unsaid = writable_roots(image)
    for case, second in (
        ("r1-second", container(foreign, "side")),
        ("r2-second", {**container(image, "side"), "resources": BARE}),
        ("r3-second", {**container(image, "side"), "securityContext": unsaid}),
    ):
        found.append(Attempt(case, case[:2].upper(), made(case, with_second_container(second))))
    found += [
        Attempt("r2-no-limit", "R2", made("r2-no-limit", in_first_container(resources=BARE))),
        Attempt("r2-no-cpu", "R2", made("r2-no-cpu", in_first_container(resources=WITHOUT_CPU))),
        Attempt("r2-init", "R2", made("r2-init", with_init_container(unbounded))),
    ]
    found += [
        Attempt("r3-writable", "R3", made("r3-writable", in_first_container(securityContext=writable))),
        Attempt("r3-unsaid", "R3", made("r3-unsaid", in_first_container(securityContext=unsaid))),
        Attempt(
            "r3-init",
            "R3",
            made("r3-init", with_init_container({**container(image, "init"), "securityContext": writable})),
        ),
    ]
    for kind, rule, change in (
        ("Deployment", "R1", in_first_container(image=foreign)),
        ("StatefulSet", "R2", in_first_container(resources=BARE)),
        ("Job", "R3", in_first_container(securityContext=writable)),
        ("Job", "R1", in_first_container(image=foreign)),
    ):
        case = f"{rule.lower()}-{kind.lower()}"
        found.append(Attempt(case, rule, workload_of(kind, made(case, change))))
    found += [
        Attempt("r4-node-port", "R4", service("lab-r4-node-port", namespace=namespace, type="NodePort")),
        Attempt("r4-balancer", "R4", service("lab-r4-balancer", namespace=namespace, type="LoadBalancer")),
        Attempt(
            "r4-external", "R4", service("lab-r4-external", namespace=namespace, externalIPs=["203.0.113.7"])
        ),
        Attempt(
            "r4-elsewhere",
            "R4",
            service("lab-r4-elsewhere", namespace=namespace, type="ExternalName", externalName="lab.example"),
        ),
        Attempt("r4-changed", "R4", {"spec": {"type": "NodePort"}}, "patch", "services"),
        Attempt("r4-opened", "R4", {"spec": {"externalIPs": ["203.0.113.7"]}}, "patch", "services"),
    ]
    return found


def one_of_each(registry: str, image: str, namespace: str, labels: Mapping[str, str]) -> list[Attempt]:
    """One attempt for each of R1 to R4, by a pod or a Service that is labelled so."""
    found: dict[str, Attempt] = {}
    for each in breaking(registry, image, namespace):
        if each.rule not in found:
            metadata = each.object["metadata"]
            metadata["labels"] = {**metadata.get("labels", {}), **labels}
            said = "".join(f" labelled {key}: {value}" for key, value in labels.items())
            found[each.rule] = replace(each, case=f"{each.case}{said}")
    return list(found.values())


def unsigned(name: str, image: str, good: str, namespace: str) -> list[Attempt]:
    """Pods of an image that the lab did not sign: as (init) container, by a Deployment, by a change."""
    init = pod(f"lab-{name}-init", good, namespace)
    init["spec"]["initContainers"] = [container(image, "init")]
    made = workload_of("Deployment", pod(f"lab-{name}-deployment", image, namespace))
    changed = {"spec": {"containers": [{"name": "main", "image": image}]}}
    return [
        Attempt(name, "signature", pod(f"lab-{name}", image, namespace)),
        Attempt(f"{name}-init", "signature", init),
        Attempt(f"{name}-deployment", "signature", made),
        Attempt(f"{name}-changed", "signature", changed, "patch"),
    ]


def near_misses(image: str, other: str, namespace: str) -> list[Attempt]:
    """Attempts that look odd and break nothing."""
    two = pod("lab-two", image, namespace)
    with_second_container(container(other, "side"))(two)
    init = pod("lab-init", other, namespace)
    init["spec"]["initContainers"] = [container(image, "init")]
    return [
        Attempt("two-containers", "", two),
        Attempt("init-container", "", init),
        Attempt("headless", "", service("lab-headless", namespace=namespace, clusterIP="None")),
        Attempt("ephemeral", "", ephemeral(image, "debug"), "ephemeral"),
        Attempt("deployment", "", workload_of("Deployment", pod("lab-deployment", image, namespace))),
    ]
