"""Make the sprites of the example of films: `python data/make_garments.py`.

They are the first 100 images of six classes in data/fashion-mnist-10k, at half their size: rows of
src/ganops/cli/examples/garments/garments.png, in the order of `toys.GARMENTS`.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ganops.data import toys
from ganops.data.sources import read_source

ROOT = Path(__file__).parents[1]
CLASSES = {"trouser": "1", "pullover": "2", "dress": "3", "sneaker": "7", "bag": "8", "ankle-boot": "9"}
"""Name of a garment -> its label in Fashion-MNIST."""
EACH = 100
"""Sprites of a class."""


def main() -> None:
    """Writes the sheet of sprites."""
    found: dict[str, list[np.ndarray]] = {label: [] for label in CLASSES.values()}
    for item in read_source(ROOT / "data" / "fashion-mnist-10k").items:
        assert isinstance(item.content, np.ndarray)
        if item.label in found:
            found[item.label].append(item.content)
    rows = []
    for name in toys.GARMENTS:
        images = np.stack(found[CLASSES[name]][:EACH]).astype(int).reshape(EACH, 14, 2, 14, 2)
        rows.append(np.concatenate(((images.sum((2, 4)) + 2) // 4).astype(np.uint8), axis=1))
    out = ROOT / "src" / "ganops" / "cli" / "examples" / "garments" / "garments.png"
    Image.fromarray(np.concatenate(rows)).save(out, optimize=True)


if __name__ == "__main__":
    main()
