"""Which zone is lost."""

from __future__ import annotations

from graders.lab3.tracks.workload import zone_to_lose

ZONES = {"node-a1": "zone-a", "node-a2": "zone-a", "node-b1": "zone-b", "node-b2": "zone-b"}


def pods(*nodes: str) -> list[dict[str, dict[str, str]]]:
    return [{"spec": {"nodeName": node} if node else {}} for node in nodes]


def test_it_is_the_first_one_while_pods_are_in_it() -> None:
    assert zone_to_lose(ZONES, pods("node-b1", "node-b2", "node-a2")) == "zone-a"


def test_a_repetition_after_all_pods_left_it_loses_the_other_one() -> None:
    assert zone_to_lose(ZONES, pods("node-b1", "node-b2", "")) == "zone-b"


def test_with_no_pods_to_lose_it_is_the_first_one() -> None:
    assert zone_to_lose(ZONES, pods("", "elsewhere")) == "zone-a"
