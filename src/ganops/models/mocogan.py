"""MoCoGAN (Tulyakov et al. 2018): films of one content and a motion that a recurrent network unrolls over their frames.

A latent is the content z_C and the noise of each frame, one behind the other, so that all of a film follows from z. A
GRU (Cho et al. 2014) turns the noise of the frames into their motion z_M, and the frame generator, any G of planes,
draws each frame from [z_C, z_M].

D is two critics, as in the paper: one looks at frames, each for itself, the other at the film. Here their scores are
summed before one loss; the paper gives each critic a loss of its own and sums these. The critic of films sees all
frames at once from its first convolution on (early fusion, Karpathy et al. 2014), so that a film costs it little more
than a picture.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganops.core.devices import planes
from ganops.models import dcgan, r3gan, sngan
from ganops.models.layers import Projection, wide

Frame = Literal["dcgan", "r3gan", "sngan"]
"""Architectures that can draw and judge the frames."""


class Generator(nn.Module):
    """[z_C, e_1, ... e_T] -> GRU over e -> [z_C, h_t] -> frame t."""

    def __init__(self, frame: nn.Module, *, content: int, motion: int, hidden: int, frames: int) -> None:
        """Args as in `players`; `frame` maps latents [N, content + hidden] and labels to frames [N, C, H, W]."""
        super().__init__()
        self.content, self.motion, self.frames = content, motion, frames
        self.recurrent = nn.GRU(motion, hidden, batch_first=True)
        self.frame = frame

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, content + frames x motion], int64 [N] -> float [N, C, T, H, W] in [-1, 1]."""
        content, noise = z[:, : self.content], z[:, self.content :].reshape(-1, self.frames, self.motion)
        with torch.autocast(z.device.type, enabled=False):  # not all processors have a GRU in bfloat16
            moved = self.recurrent(wide(noise))[0]
        latents = torch.cat([content[:, None].expand(-1, self.frames, -1), moved], 2).flatten(0, 1)
        labels = None if y is None else y[:, None].expand(-1, self.frames).flatten()
        drawn: Tensor = self.frame(latents, labels).unflatten(0, (-1, self.frames))
        return drawn.transpose(1, 2).contiguous()


class Discriminator(nn.Module):
    """The features of frames, averaged over them, and those of the film -> one score."""

    offset = "score.linear.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score",)
    """The parts behind the features."""

    def __init__(self, of_frame: Any, of_film: Any, *, classes: int, seen: Sequence[int]) -> None:
        """Takes discriminators of planes apart: what lies behind their features goes.

        Args:
            of_frame: One of frames [N, C, H, W].
            of_film: One of films with their frames as channels, [N, C T, H, W].
            classes: 0 is unconditional.
            seen: The frames that the first one looks at.
        """
        super().__init__()
        self.of_frame, self.of_film, self.seen = _trunk(of_frame), _trunk(of_film), tuple(seen)
        self.width: int = of_frame.width + of_film.width
        self.score = Projection(self.width, classes)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, C, T, H, W] -> [N, width]."""
        frames = torch.cat([x[:, :, at] for at in self.seen])
        of_frames = self.of_frame.features(_last(frames)).unflatten(0, (len(self.seen), -1)).mean(0)
        return torch.cat([of_frames, self.of_film.features(_last(x.flatten(1, 2)))], 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, C, T, H, W], int64 [N] -> scores [N]."""
        score: Tensor = self.score(self.features(x), y)
        return score


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, content: int = 48, motion: int = 8, hidden: int = 16,
    width: int = 24, frame: Frame = "dcgan", seen: int = 2,
) -> tuple[Generator, Discriminator]:  # fmt: skip
    """Both players. Published: content 50, motion and hidden 10, one random frame of each film seen.

    Args:
        shape: [C, T, H, W]: any number of channels and frames; squares, their side a power of two from 16.
        classes: 0 is unconditional.
        latent: Dimensions of z: content + T x motion.
        content: Numbers of z that are a film's content.
        motion: Numbers of z that move each frame.
        hidden: Units of the GRU: what it tells the frame generator of the motion.
        width: Channels of the frame architecture: its `width`; of r3gan its `widths`.
        frame: Architecture that draws and judges frames: dcgan, r3gan or sngan.
        seen: Frames of a film that D looks at one by one, evenly spread from the first to the last.
    """
    if len(shape) != 4:
        kind = "images" if len(shape) == 3 else "such samples"
        raise ValueError(f"draws films [C, T, H, W], data.kind: video, not {kind} of {list(shape)}")
    channels, frames, *plane = shape
    for name, value in (("content", content), ("motion", motion), ("hidden", hidden), ("width", width)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}")
    if latent != content + frames * motion:
        expected = f"{content + frames * motion} for films of {frames} frames: content {content} + {frames} x {motion}"
        raise ValueError(f"latent: expected {expected}, got {latent}")
    if not 1 <= seen <= frames:
        raise ValueError(f"seen: expected 1 to {frames} frames, got {seen}")
    frame_G, frame_D = _players(frame, (channels, *plane), classes, content + hidden, width)
    _, film_D = _players(frame, (channels * frames, *plane), 0, 1, width)
    places = [round(i * (frames - 1) / max(1, seen - 1)) for i in range(seen)]
    return (
        Generator(frame_G, content=content, motion=motion, hidden=hidden, frames=frames),
        Discriminator(frame_D, film_D, classes=classes, seen=places),
    )


def _players(name: Frame, shape: tuple[int, ...], classes: int, latent: int, width: int) -> tuple[nn.Module, nn.Module]:
    """The players of a frame architecture, for planes [C, H, W]; D without batch normalisation."""
    given: dict[str, Any] = {"shape": shape, "classes": classes, "latent": latent}
    if name == "dcgan":
        return dcgan.players(**given, width=width, norm="none")
    if name == "r3gan":
        return r3gan.players(**given, widths=width)
    if name == "sngan":
        return sngan.players(**given, width=width)
    raise ValueError(f"frame: expected dcgan, r3gan or sngan, got {name!r}")


def _trunk(D: Any) -> Any:
    """A discriminator without what lies behind its features."""
    for part in D.beyond:
        delattr(D, part)
    return D


def _last(x: Tensor) -> Tensor:
    """Planes in the layout in which convolutions read them fastest."""
    return x.contiguous(memory_format=planes(x.device))
