"""Waiting for what is away: storage that does not answer, a server that starts again."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

from ganops.core.errors import UserError

T = TypeVar("T")

NAME = "GANOPS_PATIENCE"
DEFAULT = 900.0
"""Seconds: a server that is away for ten minutes is waited for."""
LONGEST = 10.0
"""Seconds between two tries."""


def patience() -> float:
    """Seconds that something away is waited for: `GANOPS_PATIENCE`, or a quarter of an hour; 0: not at all.

    Raises:
        UserError: The variable is not such a number.
    """
    text = os.environ.get(NAME, "")
    try:
        seconds = float(text or DEFAULT)
        if not 0 <= seconds < float("inf"):
            raise ValueError(text)
    except ValueError:
        raise UserError(f"{NAME}: expected seconds, 0 or more, got {text!r}") from None
    return seconds


def insist(
    action: Callable[[], T], *, away: Callable[[Exception], bool], seconds: float, tell: Callable[[str], None]
) -> T:
    """Does `action`, again and again while it fails because what it needs is away, and returns what it returns.

    Args:
        action: May be done several times.
        away: Whether an error may pass by itself.
        seconds: How long is waited in all; then the last error is raised.
        tell: Hears once that something is waited for, and once that it is back.
    """
    start, pause, told = time.monotonic(), 1.0, False
    while True:
        try:
            result = action()
        except Exception as error:
            if not away(error) or time.monotonic() - start + pause > seconds:
                raise
            if not told:
                tell(f"{str(error).splitlines()[0]}; it is waited for, at most {seconds:.0f} s ({NAME})")
            told = True
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)
        else:
            if told:
                tell(f"it is back, {time.monotonic() - start:.0f} s later")
            return result
