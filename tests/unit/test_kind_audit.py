"""The audit log of a kind cluster loses no line, doubles none, and hands on no half of one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graders.clusters.kind.audit import AuditTail
from graders.polling import NotYet, wait_for

WITHIN_S = 30.0


class Log:
    """A log file as the API server writes it: appended to, and put aside when it is too long."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def rotate(self) -> None:
        self._file.close()
        self.path.rename(self.path.with_suffix(".1"))
        self._file = self.path.open("ab", buffering=0)

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def lines() -> list[bytes]:
    return []


@pytest.fixture
def tail(tmp_path: Path, lines: list[bytes]) -> AuditTail:
    return AuditTail(tmp_path / "audit.jsonl", lines.append)


@pytest.fixture
def log(tail: AuditTail, tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "audit.jsonl")
    yield log
    log.close()


def _until(lines: list[bytes], count: int) -> None:
    def arrived() -> None:
        if len(lines) < count:
            raise NotYet(f"{len(lines)} of {count} lines")

    wait_for(arrived, timeout_s=WITHIN_S)


def test_the_file_is_there_before_the_api_server_and_for_its_owner_alone(
    tail: AuditTail, tmp_path: Path
) -> None:
    found = (tmp_path / "audit.jsonl").stat()
    assert (found.st_mode & 0o777, found.st_uid) == (0o600, os.getuid())
    tail.stop()


def test_lines_arrive_while_they_are_written(tail: AuditTail, log: Log, lines: list[bytes]) -> None:
    tail.start()
    for number in range(50):
        log.write(b'{"n": %d}\n' % number)
    _until(lines, 50)
    tail.stop()

    assert lines == [b'{"n": %d}' % number for number in range(50)]


def test_a_line_is_handed_on_once_it_is_complete(tail: AuditTail, log: Log, lines: list[bytes]) -> None:
    tail.start()
    log.write(b'{"first": 1}\n{"half')
    _until(lines, 1)
    assert lines == [b'{"first": 1}']
    log.write(b'": 2}\n')
    _until(lines, 2)
    tail.stop()

    assert lines[1] == b'{"half": 2}'


def test_the_end_waits_for_what_is_written_already(tail: AuditTail, log: Log, lines: list[bytes]) -> None:
    tail.start()
    log.write(b"".join(b'{"n": %d, "body": "%s"}\n' % (number, b"x" * 4000) for number in range(2000)))
    tail.stop()

    assert len(lines) == 2000
    assert lines[-1].startswith(b'{"n": 1999,')


def test_a_file_that_was_put_aside_is_read_to_its_end_first(
    tail: AuditTail, log: Log, lines: list[bytes]
) -> None:
    tail.start()
    for number in range(300):
        log.write(b'{"n": %d}\n' % number)
        if number % 100 == 99:
            # As rarely as it happens: a second time before anybody looked would hide a whole file.
            _until(lines, number + 1)
            log.write(b'{"last": %d}\n' % number)
            log.rotate()
            _until(lines, number + 2)
            lines.pop()
    log.write(b'{"after": 1}\n')
    tail.stop()

    assert lines == [*(b'{"n": %d}' % number for number in range(300)), b'{"after": 1}']


def test_what_is_no_entry_is_left_out(tail: AuditTail, log: Log, lines: list[bytes]) -> None:
    tail.start()
    log.write(b'panic: nil\n\n{"n": 1}\n')
    tail.stop()

    assert lines == [b'{"n": 1}']


def test_many_writers_at_once_lose_nothing(tail: AuditTail, log: Log, lines: list[bytes]) -> None:
    tail.start()

    def write(writer: int) -> None:
        for number in range(500):
            log.write(b'{"w": %d, "n": %d}\n' % (writer, number))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    tail.stop()

    assert len(lines) == len(set(lines)) == 2000


def test_one_that_was_never_started_can_be_stopped(tail: AuditTail, lines: list[bytes]) -> None:
    tail.stop()
    assert lines == []
