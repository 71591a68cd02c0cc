"""What a check says: collected mismatches, measured facts, text that is safe to keep."""

from __future__ import annotations

import json
import math

import pytest

from graders.faults import InfraFault, Unmet
from graders.judging import Facts, Findings
from graders.judging.facts import MAX_FACTS
from graders.judging.text import clean, clean_tail


def test_no_mismatch_is_no_failure() -> None:
    with Findings("four pods") as found:
        assert found.expect(True, "x", "y")
        assert found.equal("restarts", 2, 2)


def test_mismatches_are_told_together() -> None:
    found = Findings(hint="Read the contract.")
    assert not found.equal("status.restarts", 2, 3)
    assert not found.expect([], "a Service", "no Service", hint="Create one.")
    with pytest.raises(Unmet) as caught:
        found.done()
    assert caught.value.expected == "status.restarts 2; a Service"
    assert caught.value.observed == "status.restarts 3; no Service"
    assert caught.value.hint == "Create one."


def test_only_the_first_few_are_shown() -> None:
    def leftovers() -> None:
        with Findings("all pods gone", hint="Own them.") as found:
            for index in range(6):
                found.miss(f"a-{index} stayed")

    with pytest.raises(Unmet) as caught:
        leftovers()
    assert caught.value.expected == "all pods gone"
    assert caught.value.observed == "a-0 stayed; a-1 stayed; a-2 stayed; and 3 more"
    assert caught.value.hint == "Own them."


def find_and_raise(error: Exception) -> None:
    with Findings() as found:
        found.miss("no Service", "a Service")
        raise error


def test_an_unmet_in_the_block_joins_what_was_found_before() -> None:
    with pytest.raises(Unmet) as caught:
        find_and_raise(Unmet("a pod", "no pod"))
    assert (caught.value.expected, caught.value.observed) == ("a Service; a pod", "no Service; no pod")


def test_other_errors_in_the_block_are_not_hidden() -> None:
    with pytest.raises(InfraFault, match="the record is cut short"):
        find_and_raise(InfraFault("the record is cut short"))


def test_facts_are_json_whatever_size_a_learner_makes_them() -> None:
    facts = Facts()
    facts["nothing"], facts["yes"], facts["text"] = None, True, "a" * 1000
    facts["nan"], facts["huge"] = math.nan, 10**10_000
    facts["list"] = list(range(1000))
    facts["mapping"] = {"k" * 1000: (1, 2)}
    facts["deep"] = [[[[[["deeper"]]]]]]
    facts["wide"] = [[["a" * 500] * 50] * 50] * 50
    recorded = json.loads(json.dumps(facts.recorded(), allow_nan=False))
    assert recorded["nothing"] is None
    assert recorded["yes"] is True
    assert len(recorded["text"]) == 500
    assert recorded["nan"] == "nan"
    assert recorded["huge"] == "a number of 33220 bits"
    assert recorded["list"][49:] == [49, "… 950 more"]
    assert list(recorded["mapping"].values()) == [[1, 2]]
    assert len(json.dumps(recorded["wide"])) < 1_000_000
    assert recorded["deep"] == [[[["…"]]]]


def test_there_is_room_for_so_many_facts() -> None:
    facts = Facts()
    for index in range(MAX_FACTS + 3):
        facts[f"f{index}"] = index
    facts["f0"] = "changed"
    assert len(facts.recorded()) == MAX_FACTS + 1
    assert facts.recorded()["…"] == "3 more"
    assert facts["f0"] == "changed"


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", {"a": [object()]}, {1: 2}])
def test_facts_that_are_not_json_are_the_authors_mistake(value: object) -> None:
    with pytest.raises(TypeError, match="fact 'x"):
        Facts()["x"] = value


def test_text_keeps_lines_and_loses_what_acts() -> None:
    assert clean("a\r\n\tb") == "a\n\tb"
    assert clean("\x1b[31mred\x07\x9b1m\x00") == "red\ufffd\ufffd"
    assert clean("\u202eabc\u2066") == "\ufffdabc\ufffd"
    assert clean("\udcff").encode() == "\ufffd".encode()
    assert clean("abcdef", 4) == "abc…"
    assert clean_tail("abcdef", 4) == "…def"
