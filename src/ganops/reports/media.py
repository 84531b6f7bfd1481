"""Pictures, sounds and films inside a page."""

from pathlib import Path

from PIL import Image

from ganops.core.errors import UserError
from ganops.core.files import embedded
from ganops.reports import page, plots

BYTES_OF_PICTURE = 80_000
"""Most bytes of a picture, as a rule."""
BYTES_OF_FILM = 40_000
"""Most bytes of a film: a larger one is shown smaller."""
MEDIA = {".wav": "audio/wav", ".webp": "image/webp"}
"""Suffix of a file that is played -> its media type."""


def picture(path: Path | None, limit: int) -> str | None:
    """The file as a `data:` URI of about `limit` bytes at most; SVG is embedded as it is.

    Raises:
        UserError: It is missing or not readable.
    """
    if path is None:
        return None
    try:
        if path.suffix.lower() == ".svg":
            return page.svg_uri(path.read_bytes())
        if path.suffix.lower() == ".webp":  # it moves
            return played(path, limit)
        with Image.open(path) as opened:
            return plots.data_uri(opened, limit)
    except OSError as error:
        raise UserError(f"report: expected a picture at {path}: {error}. Run the stage that writes it again.") from None


def played(path: Path, limit: int = BYTES_OF_FILM) -> str:
    """Return a file that is played as a `data:` URI, a film of about `limit` bytes at most.

    Raises:
        UserError: It is missing or not readable.
    """
    try:
        content = path.read_bytes() if path.suffix == ".wav" else plots.smaller_film(path, limit)
    except OSError as error:
        raise UserError(f"report: expected a sample at {path}: {error}. Run the stage that writes it again.") from None
    return embedded(MEDIA[path.suffix], content)
