"""Probes and actions on the predictor: what Chaos Toolkit's own extension has no word for."""

from chaosk8s import create_k8s_api_client
from kubernetes import client


def ready_addresses(namespace: str = "serving", service: str = "predictor") -> int:
    """How many addresses a client of the Service can reach: of a Service alone nothing is known."""
    api = client.DiscoveryV1Api(create_k8s_api_client())
    selector = f"kubernetes.io/service-name={service}"
    slices = api.list_namespaced_endpoint_slice(namespace, label_selector=selector).items
    return sum(
        len(endpoint.addresses)
        for each in slices
        for endpoint in each.endpoints or ()
        if endpoint.conditions.ready
    )


def set_unschedulable(node: str, value: bool) -> None:
    """Cordon a node, or take that back."""
    client.CoreV1Api(create_k8s_api_client()).patch_node(node, {"spec": {"unschedulable": value or None}})
