"""How simulated pods go: the stages that kwok plays."""

import yaml

from graders.clusters.components import STAGES


def test_a_pod_that_kwok_has_deleted_is_not_deleted_again() -> None:
    """Its own delete makes a last change of the pod, and deletes by name: the next pod would be met."""
    (goes,) = (
        each for each in yaml.safe_load_all(STAGES.read_text("utf-8")) if each["spec"]["next"].get("delete")
    )
    asked = goes["spec"]["selector"]["matchExpressions"]
    assert {
        "key": ".metadata.deletionGracePeriodSeconds | tostring",
        "operator": "NotIn",
        "values": ["0"],
    } in asked
