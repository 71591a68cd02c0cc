from typing import Any

from builders import a_job

from mltj_operator.children import build_pod
from mltj_operator.names import INDEX_LABEL, JOB_LABEL

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"team": "vision"}, "annotations": {"note": "kept"}},
    "spec": {
        "restartPolicy": "Always",
        "nodeSelector": {"gpu": "yes"},
        "containers": [
            {
                "name": "trainer",
                "env": [{"name": "PET_NNODES", "value": "99"}, {"name": "EPOCHS", "value": "3"}],
            },
            {"name": "sidecar"},
        ],
    },
}


def test_a_pod_is_the_template_made_a_member_of_the_job() -> None:
    pod = build_pod(a_job(template=TEMPLATE, nodes=4), 3)
    assert pod["metadata"]["name"] == "train-3"
    assert pod["metadata"]["labels"] == {"team": "vision", JOB_LABEL: "train", INDEX_LABEL: "3"}
    assert pod["metadata"]["annotations"] == {"note": "kept"}
    assert pod["spec"]["restartPolicy"] == "Never"
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("train-3", "train")
    assert pod["spec"]["nodeSelector"] == {"gpu": "yes"}
    (owner,) = pod["metadata"]["ownerReferences"]
    assert owner["controller"] and owner["uid"] == "uid-train"


def test_our_variables_win_over_the_templates_in_every_container() -> None:
    pod = build_pod(a_job(template=TEMPLATE, nodes=4), 0)
    for container in pod["spec"]["containers"]:
        values = [entry["value"] for entry in container["env"] if entry["name"] == "PET_NNODES"]
        assert values == ["4"]
    assert {"name": "EPOCHS", "value": "3"} in pod["spec"]["containers"][0]["env"]


def test_building_a_pod_leaves_the_template_as_it_was() -> None:
    job = a_job(template=TEMPLATE)
    assert build_pod(job, 0) == build_pod(job, 0)
    assert "hostname" not in TEMPLATE["spec"]


def test_pods_of_a_gang_are_held_back_and_others_are_not() -> None:
    gang = a_job(nodes=2, policy={"schedulingPolicy": {"minAvailable": 5}})
    assert build_pod(gang, 0)["spec"]["schedulingGates"]
    assert "schedulingGates" not in build_pod(a_job(), 0)["spec"]


def test_the_priority_class_is_a_default_for_the_templates() -> None:
    policy = {"schedulingPolicy": {"priorityClass": "high"}}
    own = {"spec": {"containers": [], "priorityClassName": "mine"}}
    assert build_pod(a_job(policy=policy), 0)["spec"]["priorityClassName"] == "high"
    job = a_job(policy=policy, template=own)
    assert build_pod(job, 0)["spec"]["priorityClassName"] == "mine"
