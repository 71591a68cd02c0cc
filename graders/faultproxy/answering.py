"""How long the API server lets a program wait for its answers."""


class Answering:
    """Adds up what a program's requests took at the API server beyond what they take where it is idle.

    Waits that overlap count once, however many requests are under way.
    """

    PROMPT_S = 0.01
    """What an answer may take: about twice what a write takes on an idle machine."""
    LONGEST_S = 1.0
    """No request counts for longer: some are made to wait."""

    def __init__(self) -> None:
        self.slow_s = 0.0
        """Seconds in all so far."""
        self._counted_to = 0.0

    def took(self, since: float, until: float) -> None:
        """A request went to the API server at `since` and was answered at `until`, on one clock."""
        end = min(until, since + self.LONGEST_S)
        begin = max(since + self.PROMPT_S, self._counted_to)
        if end > begin:
            self.slow_s += end - begin
            self._counted_to = end
