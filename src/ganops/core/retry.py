"""Doing again what failed and may pass: storage that does not answer, a server that starts again, another writer."""

import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

from ganops.core.errors import UserError
from ganops.core.redaction import reason

T = TypeVar("T")

NAME, FORMER = "GANOPS_RETRY_TIMEOUT", "GANOPS_PATIENCE"
"""The variable of the retry timeout, and its name until November 2026."""
DEFAULT = 900.0
"""Seconds: a server that is away for ten minutes is waited for."""
MAX_PAUSE = 10.0
"""Seconds between two attempts."""


def retry_timeout() -> float:
    """Return the seconds for which something away is tried again: `GANOPS_RETRY_TIMEOUT`, or 900; 0: not at all.

    Raises:
        UserError: The variable is not such a number.
    """
    name = FORMER if os.environ.get(FORMER) and not os.environ.get(NAME) else NAME
    text = os.environ.get(name, "")
    try:
        seconds = float(text or DEFAULT)
        if not 0 <= seconds < math.inf:
            raise ValueError(text)
    except ValueError:
        raise UserError(f"{name}: expected seconds, 0 or more, got {text!r}") from None
    return seconds


def insist(
    action: Callable[[], T], *, away: Callable[[Exception], bool], seconds: float = math.inf,
    attempts: float = math.inf, pause: Callable[[int], float] = lambda attempt: min(2.0 ** (attempt - 1), MAX_PAUSE),
    tell: Callable[[str], None] = lambda text: None,
) -> T:  # fmt: skip
    """Do `action` again and again while it fails by what may pass, and return what it returns.

    Args:
        action: May be done several times.
        away: True for an error that may pass by itself.
        seconds: The time for all attempts; then the last error is raised.
        attempts: The most of them.
        pause: Number of attempts so far -> seconds until the next one: 1, 2, 4, 8 and then 10 unless told otherwise.
        tell: Hears once that something is waited for, and once that it is back.
    """
    start, told, attempt = time.monotonic(), False, 0
    while True:
        attempt += 1
        try:
            result = action()
        except Exception as error:
            wait = pause(attempt)
            if not away(error) or attempt >= attempts or time.monotonic() - start + wait > seconds:
                raise
            if not told:
                tell(f"{reason(error)}; it is waited for, at most {seconds:.0f} s ({NAME})")
            told = True
            time.sleep(wait)
        else:
            if told:
                tell(f"it is back, {time.monotonic() - start:.0f} s later")
            return result
