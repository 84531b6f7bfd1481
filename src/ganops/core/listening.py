"""An address at which a server is to listen."""

import contextlib
import socket
from collections.abc import Iterator

from ganops.core.errors import UserError


@contextlib.contextmanager
def bound(
    host: str, port: int, cure: str = "choose --host, --port; --port 0 takes a free one"
) -> Iterator[socket.socket]:
    """Yield a socket that has the address but does not listen yet: who comes too early is refused and need not wait.

    Raises:
        UserError: Nobody can listen there, with the cure.
    """
    with contextlib.ExitStack() as stack:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            listener = stack.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"nobody can listen at {host}:{port}: {reason}; {cure}") from None
        yield listener
