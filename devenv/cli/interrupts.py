"""What a signal to end does: the same as Ctrl-C, which says at once what is being ended."""

import signal
import sys


def handle_signals() -> None:
    """Have signals to end raise KeyboardInterrupt, so that devenv ends what it started.

    Ctrl-C stays ignored for a command in the background of a script.
    """
    numbers = [signal.SIGTERM, signal.SIGHUP]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        numbers.append(signal.SIGINT)
    for number in numbers:
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    # Not imported here: without this module, nothing shows steps.
    if console := sys.modules.get("devenv.ui.console"):
        console.tell_interrupt()
    raise KeyboardInterrupt
