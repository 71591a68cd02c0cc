"""The ledger: which prefix came back, what no prefix explains, what was lost; and nobody can make it up."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graders.faults import InfraFault
from graders.lab3.names import LEDGER_SALT
from graders.recovery.intervals import NOTHING, Interval
from graders.recovery.outages import Injection
from graders.recovery.records import LedgerWrite, RestoredRecord
from graders.recovery.rpo import Anomaly, AnomalyKind, restored_prefix
from graders.recovery.seals import genuine, run_key, seal, written

SECRET = bytes(range(32))
KEY = run_key(LEDGER_SALT, SECRET, "20300101-000000-abcdef", "serving")


@functools.cache
def found_of(write: LedgerWrite, key: bytes = KEY, t: float = 100.0) -> RestoredRecord:
    """What is found where a write was not tampered with."""
    return RestoredRecord(
        t, write.ledger, write.kind, write.name, str(write.seq), written(write), seal(key, write),
        write.part, write.owner,
    )  # fmt: skip


@dataclass(frozen=True)
class Committed:
    """A write and when it was done, which only etcd knows; None where it never was."""

    write: LedgerWrite
    at: float | None


def history(
    rng: Random,
    number: int,
    *,
    lost_answers: float = 0.05,
    request_s: float = 0.05,
    begin: float = 1.0,
    kind: str = "configmaps",
) -> list[Committed]:
    """A log of creates, every tenth a delete of an older record, one every half second, one after another.

    Some answers are lost: of these some are done, others not.
    """
    log: list[Committed] = []
    alive: list[str] = []
    t = begin
    for seq in range(1, number + 1):
        took_s = request_s * (0.1 + rng.random())
        answered = rng.random() >= lost_answers
        done = answered or rng.random() < 0.5
        verb, name = "create", f"ledger-{seq}"
        if seq % 10 == 0 and alive:
            verb, name = "delete", alive.pop(rng.randrange(len(alive)))
        elif answered:
            alive.append(name)
        write = LedgerWrite(
            round(t, 6), round(t + took_s, 6) if answered else None, "serving", kind, seq, verb, name
        )
        log.append(Committed(write, t + took_s * rng.random() if done else None))
        t = max(t + took_s, begin + 0.5 * seq)
    return log


def state_at(log: Sequence[Committed], t: float) -> list[RestoredRecord]:
    """What a backup that was made at an instant brings back."""
    there: dict[str, LedgerWrite] = {}
    for each in log:
        if each.at is not None and each.at <= t:
            if each.write.verb == "create":
                there[each.write.name] = each.write
            else:
                there.pop(each.write.name, None)
    return [found_of(write) for write in there.values()]


def writes_of(log: Sequence[Committed]) -> list[LedgerWrite]:
    return [each.write for each in log]


def simple(number: int, *deletes: str) -> list[LedgerWrite]:
    """Creates of a, b, c …, one a second, answered after a tenth; then deletes."""
    names = [*(chr(ord("a") + seq) for seq in range(number)), *deletes]
    return [
        LedgerWrite(
            float(seq), seq + 0.1, "serving", "configmaps", seq, "create" if seq <= number else "delete", name
        )
        for seq, name in enumerate(names, start=1)
    ]


# Seals


WRITE = LedgerWrite(12.345678, 12.4, "serving", "models", 17, "create", "ledger-17", "status", "owner-1")

FORGERIES: dict[str, Callable[[RestoredRecord], RestoredRecord]] = {
    "one digit of the time": lambda found: replace(found, written="12.345679"),
    "the number": lambda found: replace(found, seq="18"),
    "the number, written otherwise": lambda found: replace(found, seq="017"),
    "one digit of the seal": lambda found: replace(found, seal=found.seal[:-1] + "x"),
    "no seal": lambda found: replace(found, seal=""),
    "a seal that is no text to be encoded": lambda found: replace(found, seal="\ud800" * 64),
    "the owner": lambda found: replace(found, owner=""),
    "another part": lambda found: replace(found, part="spec"),
    "another name": lambda found: replace(found, name="ledger-18"),
    "another ledger": lambda found: replace(found, ledger="tenant-b"),
    "another kind": lambda found: replace(found, kind="configmaps"),
}


def test_what_was_written_is_genuine() -> None:
    assert genuine(KEY, WRITE, found_of(WRITE))


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_record_is_not_genuine(forge: Callable[[RestoredRecord], RestoredRecord]) -> None:
    assert not genuine(KEY, WRITE, forge(found_of(WRITE)))


@pytest.mark.parametrize(
    "key",
    [
        run_key(LEDGER_SALT, SECRET, "20300101-000000-abcdef", "tenant-b"),
        run_key(LEDGER_SALT, SECRET, "20300101-000000-abcdee", "serving"),
        run_key(LEDGER_SALT, SECRET[::-1], "20300101-000000-abcdef", "serving"),
    ],
    ids=["another ledger", "another run", "another secret"],
)
def test_a_record_sealed_for_elsewhere_is_not_genuine(key: bytes) -> None:
    assert not genuine(KEY, WRITE, found_of(WRITE, key))


@given(st.integers(0, 16), st.integers(0, 16), st.integers(1, 5))
def test_a_replayed_record_is_not_genuine(one: int, other: int, shift: int) -> None:
    """A genuine record of another place, time or number, put where this one was."""
    writes = [replace(WRITE, seq=seq, name=f"ledger-{seq}", t=float(seq)) for seq in range(17)]
    replayed = replace(found_of(writes[other]), name=writes[one].name)
    assert genuine(KEY, writes[one], replayed) is (one == other)
    again = replace(writes[one], t=writes[one].t + shift)
    assert not genuine(KEY, again, found_of(writes[one]))


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_parts_that_run_into_each_other_have_seals_of_their_own(a: str, b: str, c: str, d: str) -> None:
    one, other = replace(WRITE, name=a, part=b), replace(WRITE, name=c, part=d)
    assert (seal(KEY, one) == seal(KEY, other)) is ((a, b) == (c, d))


def test_the_key_is_that_of_the_rfc() -> None:
    """One vector, so that a record can be judged again by another version: HKDF-SHA256 by `cryptography`."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = b'["20300101-000000-abcdef", "serving"]'
    assert HKDF(SHA256(), 32, b"kubeproof/lab3-ledger/v1", info).derive(SECRET) == KEY


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="the secret of a ledger has 7 bytes, which is under 32"):
        run_key(LEDGER_SALT, b"guessed", "run", "serving")


# The prefix


@pytest.mark.parametrize("kept", range(7))
def test_every_prefix_is_recognised(kept: int) -> None:
    log = simple(5, "b")
    prefix = restored_prefix(
        KEY, log, [found_of(each) for each in log[: min(kept, 5)] if kept < 6 or each.name != "b"]
    )
    assert (prefix.kept, prefix.anomalies) == (kept, ())
    assert [each.seq for each in prefix.lost] == list(range(kept + 1, 7))


def test_loss_lies_between_the_acknowledgements_around_the_prefix() -> None:
    log = simple(10)
    prefix = restored_prefix(KEY, log, [found_of(each) for each in log[:4]])
    assert prefix.loss_s(Injection(20.0, 20.5), 0.0) == Interval(20.0 - 5.1, 20.5 - 4.1)
    assert prefix.loss_s(Injection(20.0, 20.5), 0.01).holds(20.5 - 4.1 + 0.02)


def test_nothing_lost_is_zero_and_all_lost_has_no_upper_bound() -> None:
    log = simple(10)
    injection = Injection(20.0, 20.5)
    whole = restored_prefix(KEY, log, [found_of(each) for each in log])
    assert (whole.kept, whole.lost, whole.loss_s(injection)) == (10, (), NOTHING)
    none = restored_prefix(KEY, log, [])
    assert none.kept == 0
    assert none.loss_s(injection, 0.0) == Interval(20.0 - 1.1, None)
    assert restored_prefix(KEY, [], []).loss_s(injection) == NOTHING


def test_a_write_acknowledged_after_the_fault_began_has_no_negative_loss() -> None:
    log = [*simple(3), LedgerWrite(19.9, 20.2, "serving", "configmaps", 4, "create", "late")]
    prefix = restored_prefix(KEY, log, [found_of(each) for each in log[:3]])
    assert prefix.loss_s(Injection(20.0, 20.5), 0.0) == Interval(0.0, 20.5 - 3.1)


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("number", [3, 5])
def test_a_write_without_acknowledgement_may_be_there_or_not(there: bool, number: int) -> None:
    """In the middle of the log, and as its last."""
    log = [replace(each, t_end=None) if each.seq == number else each for each in simple(5)]
    prefix = restored_prefix(KEY, log, [found_of(each) for each in log if there or each.seq != number])
    assert (prefix.lost, prefix.anomalies) == ((), ())
    assert prefix.loss_s(Injection(20.0, 20.5)) == NOTHING


@pytest.mark.parametrize("there", [True, False])
def test_what_a_delete_without_acknowledgement_took_may_be_there_or_not(there: bool) -> None:
    log = [*simple(3, "a")[:3], replace(simple(3, "a")[3], t_end=None), replace(simple(5)[4], name="e")]
    prefix = restored_prefix(
        KEY, log, [found_of(each) for each in log if each.verb == "create" and (there or each.name != "a")]
    )
    assert (prefix.kept, prefix.anomalies) == (5, ())


def test_what_belongs_to_an_owner_that_is_gone_may_be_gone_with_it() -> None:
    """Models were listed before configmaps, so that a model is missing whose configmap was there."""
    log = [replace(each, owner="m1" if each.seq == 3 else "") for each in simple(5)]
    found = [found_of(each) for each in log if each.seq != 3]
    assert restored_prefix(KEY, log, found, owners=()).anomalies == ()
    assert restored_prefix(KEY, log, found, owners=("m1",)).anomalies == (Anomaly(AnomalyKind.HOLE, "c"),)
    assert restored_prefix(KEY, log, found).anomalies == (Anomaly(AnomalyKind.HOLE, "c"),)
    orphan = replace(found_of(log[2]), owner="")
    assert restored_prefix(KEY, log, [*found, orphan], owners=()).anomalies == ()
    forgotten = restored_prefix(KEY, log, [*found, orphan], owners=("m1",))
    assert forgotten.anomalies == (Anomaly(AnomalyKind.CORRUPTED, "c"),)


def test_a_delete_takes_all_parts() -> None:
    model = LedgerWrite(1.0, 1.1, "serving", "models", 1, "create", "m")
    status = replace(model, t=2.0, t_end=2.1, seq=2, part="status")
    gone = replace(model, t=3.0, t_end=3.1, seq=3, verb="delete")
    empty = restored_prefix(KEY, [model, status, gone], [])
    assert (empty.kept, empty.longest) == (0, 3), "before it was made and after it was deleted look the same"
    assert (empty.lost, empty.loss_s(Injection(5.0, 5.0))) == ((), NOTHING)
    kept = replace(model, t=0.1, t_end=0.2, name="other")
    log = [kept, *(replace(each, seq=each.seq + 1) for each in (model, status, gone))]
    after = replace(model, t=5.0, t_end=5.1, seq=5, name="after")
    whole = restored_prefix(KEY, [*log, after], [found_of(kept), found_of(after)])
    assert (whole.kept, whole.anomalies) == (5, ())
    resurrected = restored_prefix(KEY, [*log, after], [found_of(each) for each in (kept, log[2], after)])
    assert resurrected.anomalies == (Anomaly(AnomalyKind.RESURRECTED, "m", "status"),)
    half = restored_prefix(KEY, log, [found_of(kept), found_of(log[1])])
    assert (half.kept, half.anomalies) == (2, ()), "a backup between an object and its status"


def test_what_no_prefix_explains_is_named() -> None:
    log = simple(8, "b")
    invented = replace(log[0], name="z")
    stale = replace(found_of(log[3]), written="3.000000")
    found = [
        *(found_of(each) for each in log[:8] if each.name not in ("c", "d", "a")),
        stale, found_of(invented), found_of(log[0]), found_of(log[0]),
    ]  # fmt: skip
    prefix = restored_prefix(KEY, log, found)
    assert prefix.kept == 8
    assert {str(each) for each in prefix.anomalies} == {"c hole", "d corrupted", "z phantom", "a phantom"}


def test_a_record_that_comes_again_after_its_delete_is_resurrected() -> None:
    log = [*simple(6, "b"), replace(simple(8)[7], name="h")]
    prefix = restored_prefix(KEY, log, [found_of(each) for each in log if each.verb == "create"])
    assert (prefix.kept, [str(each) for each in prefix.anomalies]) == (8, ["b resurrected"])


def test_a_forged_record_of_later_is_no_sign_of_a_later_prefix() -> None:
    log = simple(8)
    forged = replace(found_of(log[6]), seal="0" * 64)
    prefix = restored_prefix(KEY, log, [*(found_of(each) for each in log[:3]), forged])
    assert (prefix.kept, [str(each) for each in prefix.anomalies]) == (3, ["g corrupted"])


def test_a_log_that_is_none_is_a_fault_of_the_harness() -> None:
    log = simple(4)
    with pytest.raises(InfraFault, match="the log of the ledger has 3 where 2 should be"):
        restored_prefix(KEY, [log[0], *log[2:]], [])
    with pytest.raises(InfraFault, match="operation 4 of the ledger makes b for the second time"):
        restored_prefix(KEY, [*log[:3], replace(log[3], name="b")], [])
    overlapping = [replace(log[0], t_end=2.05), *log[1:]]
    with pytest.raises(InfraFault, match="operation 2 of the ledger was sent before 1 was answered"):
        restored_prefix(KEY, overlapping, [])


# Truth


def promised(log: Sequence[Committed], backup: float) -> float:
    """Until when what clients had been promised came back: the backup, or a later answer to what is in it."""
    done = (each.write.t_end for each in log if each.at is not None and each.at <= backup)
    return max([backup, *(answered for answered in done if answered is not None)])


def test_the_true_loss_lies_in_its_interval() -> None:
    """Backups at any instant of a log with lost answers: 10,000 of 10,000, and none seen as damaged."""
    rng = Random(20_300_101)
    widths = []
    for _ in range(500):
        log = history(rng, 22, request_s=rng.choice((0.01, 0.1, 0.4)))
        fault = log[-1].write.t + rng.uniform(0.0, 1.0)
        injection = Injection(fault - 0.2 * rng.random(), fault + 0.2 * rng.random())
        for _ in range(20):
            backup = rng.uniform(2.0, fault)
            prefix = restored_prefix(KEY, writes_of(log), state_at(log, backup))
            assert prefix.anomalies == ()
            assert prefix.made_between(backup - rng.random(), backup + rng.random())
            loss_s = prefix.loss_s(injection)
            if prefix.lost:
                assert loss_s.holds(fault - promised(log, backup))
                assert loss_s.upper_s is not None
                widths.append(loss_s.upper_s - loss_s.lower_s - (injection.t0b - injection.t0a))
            else:
                unsure = {each.write.name for each in log if each.write.t_end is None}
                whole = {each.name for each in state_at(log, fault + 1.0)}
                assert {each.name for each in state_at(log, backup)} ^ whole <= unsure
    assert sorted(widths)[len(widths) // 2] <= 0.5 + 0.1


DAMAGES = ("missing", "forged", "invented", "resurrected")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(DAMAGES))
def test_every_damage_to_a_restored_ledger_is_named(seed: int, damage: str) -> None:
    rng = Random(seed)
    log = history(rng, 60, lost_answers=0.0)
    backup = rng.uniform(12.0, 31.0)
    found = state_at(log, backup)
    last = max(found, key=lambda each: int(each.seq))
    # What the next operation deletes may be missing: it is the state after that one.
    doomed = {each.write.name for each in log if each.write.verb == "delete"}
    victim = rng.choice([each for each in found if each is not last and each.name not in doomed])
    deleted = [each.write for each in log if each.write.verb == "delete" and each.at and each.at <= backup]
    match damage:
        case "missing":
            found.remove(victim)
            expected = Anomaly(AnomalyKind.HOLE, victim.name)
        case "forged":
            digit = "1" if victim.seal[5] != "1" else "2"
            found[found.index(victim)] = replace(victim, seal=victim.seal[:5] + digit + victim.seal[6:])
            expected = Anomaly(AnomalyKind.CORRUPTED, victim.name)
        case "invented":
            found.append(replace(victim, name="ledger-1000"))
            expected = Anomaly(AnomalyKind.PHANTOM, "ledger-1000")
        case _:
            name = deleted[0].name
            found.append(found_of(next(e.write for e in log if e.write.name == name)))
            expected = Anomaly(AnomalyKind.RESURRECTED, name)
    assert restored_prefix(KEY, writes_of(log), found).anomalies == (expected,)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.floats(1.5, 20.0))
def test_a_state_from_elsewhen_is_not_of_that_backup(seed: int, off_s: float) -> None:
    """The manifests from Git are older than the backup, a copy in the cluster newer."""
    log = history(Random(seed), 80, lost_answers=0.0)
    made = 21.0
    older = restored_prefix(KEY, writes_of(log), state_at(log, made - off_s))
    newer = restored_prefix(KEY, writes_of(log), state_at(log, made + off_s))
    assert not older.made_between(made, made + 0.3)
    assert not newer.made_between(made - 0.3, made)
