"""How fast tracks begin one after another: as fast as the API server takes them."""

import time
from typing import Protocol

GAP_S = 0.1
"""What a track asks for first takes so long to show in the API server's answers."""

PROMPT_S = 0.1
"""An API server that answers a trivial read within it takes the next track."""

LONGEST_S = 1.0
"""A machine that never keeps up gets the next track after so long all the same."""


class Asks(Protocol):
    """Who asks the API server how it is."""

    def read_s(self) -> float:
        """Seconds one trivial read takes just now."""


def wait_turn(asks: Asks) -> None:
    """Wait until the API server has caught up with the tracks that began already, or long enough."""
    until = time.monotonic() + LONGEST_S
    while True:
        time.sleep(GAP_S)
        if asks.read_s() <= PROMPT_S or time.monotonic() >= until:
            return
