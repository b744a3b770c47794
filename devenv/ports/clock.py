"""Time."""

from typing import Protocol


class Clock(Protocol):
    """Time, so that tests need not wait for it. All values are seconds."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; they never go back."""

    def now(self) -> float:
        """Seconds since 1970."""

    def sleep(self, seconds: float) -> None: ...
