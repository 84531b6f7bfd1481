"""Randomness that depends on its key alone, so that no generator state has to be kept or synchronised."""

import hashlib

import torch


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1


def generator(*key: int | str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator whose stream depends on `key` and the kind of device only."""
    return torch.Generator(device).manual_seed(seed_of(*key))
