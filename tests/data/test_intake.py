"""The spool, and the processes that fill it."""

import os

import numpy as np
import pytest

from ganops.core.errors import DataError
from ganops.data.image_decoder import ImageDecoder
from ganops.data.intake import Spool, by_processes, take_in
from ganops.data.sample_table import Table
from ganops.data.sources.item import Item, Source


def test_the_spool_gives_back_what_it_took_and_repeats_gray(tmp_path):
    gray, colour = np.full((1, 2, 2), 7, np.uint8), np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    with Spool(tmp_path) as spool:
        places = [spool.append(pixels) for pixels in (gray, colour, gray)]
        np.testing.assert_array_equal(spool.read(places[1], (3, 2, 2), (3, 2, 2)), colour)
        np.testing.assert_array_equal(spool.read(places[2], (1, 2, 2), (1, 2, 2)), gray)
        assert spool.read(places[0], (1, 2, 2), (3, 2, 2)).tobytes() == bytes([7] * 12)
    assert not list(tmp_path.iterdir())


class Deadly:
    """Ends the process that unpickles it, as a lack of memory would."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_dies_is_an_error_not_a_hang(tmp_path):
    source = Source("test", 1, iter([Item("1.png", None, Deadly())]))
    with Spool(tmp_path) as spool, Table(tmp_path) as table, pytest.raises(DataError, match="was ended from outside"):
        take_in(source, spool, table, ImageDecoder(2), by_processes(2))
