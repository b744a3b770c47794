"""Time as it passes."""

import time


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait. Only devenv.base.wait calls this, before it checks a condition again."""
        time.sleep(seconds)
