"""Addresses at which nobody can listen are told with a cure."""

import socket

import pytest

from ganops.core.errors import UserError
from ganops.core.listening import bound


def test_an_address_in_use_is_told_with_a_cure():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = f"nobody can listen at 127.0.0.1:{port}: .* in use; choose --host, --port; --port 0 takes a free one"
        with pytest.raises(UserError, match=words), bound("127.0.0.1", port):
            pass
    with pytest.raises(UserError, match=r"listen at nowhere\.invalid:80"), bound("nowhere.invalid", 80):
        pass
