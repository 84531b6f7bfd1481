"""SIGTERM and SIGINT as a request: who trains saves at the next step and ends."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from ganops.core.errors import Stopped

T = TypeVar("T")
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Request:
    """A request to stop, which a signal makes."""

    signal: int | None = None
    """Number of the signal; None: there was none."""

    def expect_none(self, words: str) -> None:
        """Ends the stage in words if there was a signal.

        Raises:
            Stopped: There was.
        """
        if self.signal is not None:
            raise Stopped(self.signal, words)


@contextmanager
def heeded(ask: Callable[[], object] = lambda: None) -> Iterator[Request]:
    """Takes the first signal of the block for a request, which calls `ask`; a second one interrupts at once.

    Outside of the main thread, which alone hears signals, there is never a request.

    Raises:
        Stopped: A second signal came.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def hear(number: int, frame: Any) -> None:
        if request.signal is not None:
            raise Stopped(number, "")
        request.signal = number
        ask()

    former = {number: signal.signal(number, hear) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def aside(work: Callable[[], T]) -> T:
    """Return what `work` returns, in a thread of its own: meanwhile signals are heard here, and `work` takes none."""
    result: Future[T] = Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:
            result.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return result.result()
