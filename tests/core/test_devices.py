"""Tensors on their way to a device; what happens on a GPU is in tests/gpu."""

import numpy as np
import pytest
import torch

from ganops.core import devices

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_an_array_arrives_whole_in_pieces(dtype, monkeypatch):
    array = np.arange(7 * 6).reshape(7, 2, 3).astype(dtype)
    monkeypatch.setattr(devices, "PIECE", 3 * array[0].nbytes)
    array.setflags(write=False)
    assert np.array_equal(devices.uploaded(array, CPU).numpy(), array)


def test_what_is_sent_to_the_cpu_is_there():
    x = torch.arange(3)
    assert devices.sent(x, CPU) is x
