"""Sounds and films that a notebook plays."""

from dataclasses import dataclass

from ganops.core.files import embedded

SOUND, FILM = '<audio controls src="{}"></audio>', '<img style="image-rendering: pixelated; min-width: 96px" src="{}">'
"""HTML in which a file is played."""


@dataclass(frozen=True)
class Player:
    """Samples that a notebook plays where this is the last line of a cell."""

    files: tuple[tuple[str, bytes], ...]
    """Media type and content of each."""

    def _repr_html_(self) -> str:
        """Return a player for each sound, or each film as a picture that moves, as HTML that holds them."""
        return "\n".join((SOUND if media.startswith("audio") else FILM).format(embedded(media, content))
                         for media, content in self.files)  # fmt: skip
