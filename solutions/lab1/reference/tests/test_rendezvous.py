from builders import a_job

from mltj_operator.rendezvous import environment


def test_each_pod_knows_its_rank_and_its_master() -> None:
    assert environment(a_job(nodes=4), 2) == {
        "PET_NNODES": "4",
        "PET_NODE_RANK": "2",
        "PET_MASTER_ADDR": "train-0.train.lab.svc",
        "PET_MASTER_PORT": "29500",
    }
