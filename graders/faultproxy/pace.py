"""How long an answer is held back from a client that asks again and again."""


class Pace:
    """Lets `burst` answers go at once, then one each `every_s`; a pause of the client's earns them back.

    A client that comes by now and then, or tries a few times in a row, is not held up at all: its one
    worker may have others to see to. One that spins is (the generic cell rate algorithm, ITU-T I.371).
    """

    def __init__(self, burst: int, every_s: float, longest_s: float) -> None:
        self._allowance_s = (burst - 1) * every_s
        self._every_s = every_s
        self._longest_s = longest_s
        self._due = 0.0

    def delay(self, now: float) -> float:
        """Seconds to hold the answer to a request that came at `now`; at most `longest_s`."""
        due = max(self._due, now)
        self._due = due + self._every_s
        wait = due - self._allowance_s - now
        return min(max(0.0, wait), self._longest_s)
