"""A program of its own that asks an API server for one small object, as an operator would.

It reads an `Errand` from standard input and writes the seconds that each request took, as JSON.
"""

import http.client
import json
import ssl
import sys
import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Errand:
    """Ask each of `ports` of loopback in turn, `rounds` times, a round every `every_s` seconds."""

    ports: tuple[int, ...]
    path: str
    token: str
    ca_file: str
    rounds: int
    every_s: float = 0.0
    warm_up: int = 20
    """Rounds before those that count."""


def run(errand: Errand) -> list[list[float]]:
    """The seconds of each request, port by port.

    Raises:
        OSError, http.client.HTTPException: a request failed.
    """
    trust = ssl.create_default_context(cafile=errand.ca_file)
    clients = [http.client.HTTPSConnection("127.0.0.1", port, context=trust) for port in errand.ports]
    headers = {"Authorization": f"Bearer {errand.token}"}
    took: list[list[float]] = [[] for _ in clients]
    pause = threading.Event()
    started = time.perf_counter()
    for number in range(-errand.warm_up, errand.rounds):
        pause.wait(max(0.0, started + (number + errand.warm_up) * errand.every_s - time.perf_counter()))
        for client, times in zip(clients, took, strict=True):
            sent = time.perf_counter()
            client.request("GET", errand.path, headers=headers)
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                raise http.client.HTTPException(f"{errand.path} was answered {answer.status}")
            if number >= 0:
                times.append(time.perf_counter() - sent)
    return took


if __name__ == "__main__":
    given = json.load(sys.stdin)
    json.dump(run(Errand(**given)), sys.stdout)
