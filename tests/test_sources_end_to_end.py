"""The same pipeline on other sources, by editing params.yaml only: to a champion each time."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.ray]

EMBEDDED = Path(__file__).parents[1] / "data" / "fashion-mnist-10k"
COUNT = 2500


def garments():
    """Gray garments [N, 28, 28] and their labels, coloured and framed by the sources below."""
    images = np.frombuffer(gzip.decompress((EMBEDDED / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((EMBEDDED / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    return images.reshape(-1, 28, 28)[:COUNT], labels[:COUNT]


def coloured(image, i):
    """RGB, a tint for each image."""
    tint = np.random.default_rng(i).uniform(0.3, 1, 3)
    return Image.fromarray((image[..., None] * tint).astype(np.uint8))


def png(picture) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def folder_of_classes(path):
    for i, (image, label) in enumerate(zip(*garments(), strict=True)):
        (path / f"kind-{label}").mkdir(parents=True, exist_ok=True)
        coloured(image, i).save(path / f"kind-{label}" / f"{i}.png")
    return path


def zip_of_transparent_images(path):
    """RGBA of mixed sizes without labels, the garment's brightness as its opacity."""
    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        for i, image in enumerate(garments()[0]):
            picture = coloured(image, i).convert("RGBA")
            picture.putalpha(Image.fromarray(image))
            size = 20 + i % 30, 20 + i % 17
            file.writestr(f"wardrobe/{i}.png", png(picture.resize(size)))
    return archive


def parquet_of_hugging_face(path):
    file = path.with_suffix(".parquet")
    images, labels = garments()
    column = [{"bytes": png(coloured(image, i)), "path": f"{i}.png"} for i, image in enumerate(images)]
    pa.parquet.write_table(pa.table({"image": column, "label": labels.astype(np.int64)}), file)
    return file


@pytest.mark.parametrize(
    ("make", "classes"),
    [(folder_of_classes, 10), (zip_of_transparent_images, 0), (parquet_of_hugging_face, 10)],
)
def test_source_to_champion(project, tmp_path, make, classes):
    source = make(tmp_path / "images")
    project.params(data={"source": str(source), "background": "black"}, train={"kimg": 5})
    log = project.run("dvc", "repro")
    assert "passed the gate, champion" in log
    manifest = json.loads((project.folder / "data/prepared/manifest.json").read_text())
    assert manifest["sample"]["shape"] == [3, 16, 16]
    assert len(manifest["classes"]) == classes
    assert manifest["rejected"] == []
    description = json.loads((project.folder / "artifacts/generator/generator.json").read_text())
    assert (description["shape"][0], description["classes"]) == (3, classes)
