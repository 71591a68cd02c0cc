from builders import raw_pod

from mltj_operator.ownership import split


def test_only_the_controller_reference_makes_a_pod_ours() -> None:
    mine, decoy = raw_pod("train-0"), raw_pod("train-1", owner="somebody")
    bystander = raw_pod("train-2")
    bystander["metadata"]["ownerReferences"][0]["controller"] = False
    orphan = raw_pod("train-3")
    del orphan["metadata"]["ownerReferences"]
    own, foreign = split([mine, decoy, bystander, orphan], "uid-train")
    assert own == [mine]
    assert foreign == [decoy, bystander, orphan]
