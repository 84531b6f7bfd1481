"""ganops trains GANs as a reproducible, distributed pipeline."""

from typing import Any

__all__ = ["GAN"]


def __getattr__(name: str) -> Any:
    """`from ganops import GAN` imports torch only when it is asked for."""
    if name == "GAN":
        from ganops.experiment.estimator import GAN

        return GAN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
