"""What runs in the pods of the in-cluster run's jobs; it stands alone, with Python's own library.

`train` fits a line to numbers, data-parallel: each rank has its share of them, rank 0 listens at
PET_MASTER_PORT and adds up the gradients, the others find it by the name in PET_MASTER_ADDR. `told` runs
until the annotation `kubeproof.dev/exit-code` of its own pod says how to end: a code, or `oom`. `resolve`
waits for a name.
"""

import os
import re
import signal
import socket
import sys
import time
from typing import TextIO

MEETS_WITHIN_S = 120.0
STEPS = 40
RATE = 0.05
SLOPE = 3.0
GOOD_ENOUGH = 0.01
ASKED_OFTEN = 12
"""In a row: each time one of several servers answers, and one of them may know nothing yet."""

CANNOT_MEET = 75
BAD_FIT = 76
TERMINATED = 143

ANNOTATIONS = "/podinfo/annotations"
COMMAND = re.compile(r'^kubeproof\.dev/exit-code="([a-z0-9]+)"$', re.MULTILINE)


def train(rank: int, nodes: int) -> int:
    """Train with all other ranks; gives the exit code."""
    address, port = os.environ["PET_MASTER_ADDR"], int(os.environ["PET_MASTER_PORT"])
    data = [float(x) for x in range(rank, rank + 4)]
    try:
        peers = _gather(port, nodes) if rank == 0 else [_reach(address, port)]
    except OSError as error:
        print(f"rank {rank} of {nodes}: no meeting at {address}:{port}: {error}", flush=True)
        return CANNOT_MEET
    print(f"rank {rank} of {nodes}: met at {address}:{port}", flush=True)
    weight = 0.0
    for _ in range(STEPS):
        own = sum(2 * (weight * x - SLOPE * x) * x for x in data) / len(data)
        if rank == 0:
            total = own + sum(float(peer.readline()) for peer in peers)
            for peer in peers:
                _say(peer, total)
        else:
            _say(peers[0], own)
            total = float(peers[0].readline())
        weight -= RATE * total / nodes
    loss = abs(weight - SLOPE)
    print(f"rank {rank} of {nodes}: weight {weight:.4f} after {STEPS} steps", flush=True)
    return 0 if loss < GOOD_ENOUGH else BAD_FIT


def told() -> int:
    """Do nothing until told how to end; gives the exit code."""
    print("waiting to be told how to end", flush=True)
    while True:
        with open(ANNOTATIONS, encoding="utf-8") as file:  # noqa: PTH123  (a pod starts in no time at all)
            found = COMMAND.search(file.read())
        if found is not None and found[1] == "oom":
            _take_all_memory()
        if found is not None:
            print(f"told to end with {found[1]}", flush=True)
            return int(found[1])
        time.sleep(0.2)


def resolve(name: str) -> int:
    """Wait until a name is known, whichever of the name servers is asked; gives the exit code."""
    give_up_at = time.monotonic() + MEETS_WITHIN_S
    known = 0
    while known < ASKED_OFTEN:
        try:
            address = socket.gethostbyname(name)
        except OSError as error:
            known = 0
            if time.monotonic() > give_up_at:
                print(f"{name} is not known: {error}", flush=True)
                return CANNOT_MEET
            time.sleep(1.0)
        else:
            known += 1
    print(f"{name} is {address}", flush=True)
    return 0


def _take_all_memory() -> None:
    held = []
    while True:
        held.append(b"\1" * (1 << 20))


def _gather(port: int, nodes: int) -> list[TextIO]:
    """Connections to all other ranks."""
    listener = socket.create_server(("", port))
    listener.settimeout(MEETS_WITHIN_S)
    return [listener.accept()[0].makefile("rw") for _ in range(nodes - 1)]


def _reach(address: str, port: int) -> TextIO:
    """A connection to rank 0, whose name is known only a moment after it runs."""
    give_up_at = time.monotonic() + MEETS_WITHIN_S
    time.sleep(2.0)
    while True:
        try:
            connection = socket.create_connection((address, port), timeout=5.0)
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(1.0)
        else:
            connection.settimeout(MEETS_WITHIN_S)
            return connection.makefile("rw")


def _say(peer: TextIO, number: float) -> None:
    peer.write(f"{number!r}\n")
    peer.flush()


def main() -> int:
    """Do what the first argument says; the first process of a pod ignores signals it does not handle."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))
    if sys.argv[1] == "told":
        return told()
    if sys.argv[1] == "resolve":
        return resolve(sys.argv[2])
    return train(int(os.environ["PET_NODE_RANK"]), int(os.environ["PET_NNODES"]))


if __name__ == "__main__":
    sys.exit(main())
