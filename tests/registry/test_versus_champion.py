"""The champion beside a challenger: drawn again from the registry's own files."""

from dataclasses import asdict, replace

import pytest
import torch

from ganops.core.errors import RegistryError
from ganops.evaluation.comparison import of_samplers
from ganops.evaluation.gate import decide
from ganops.generator import WEIGHTS, Description, Generator, generator_network
from ganops.metrics.reference import Reference
from ganops.registry.package import Package
from ganops.registry.registration import register
from ganops.registry.versus_champion import challenge, compared

NAME, SAMPLES = "garments", 200


def make(folder, seed, resolution=16):
    torch.manual_seed(seed)
    description = Description(
        "dcgan", {"width": 4}, 8, 10, tuple("0123456789"), (1, resolution, resolution), 1.0, f"training {seed}",
        class_counts=(1, *range(seed, seed + 9)),
    )  # fmt: skip
    generator = Generator(generator_network(description), description)
    generator.save(folder)
    made = Package(
        generator=generator.network, description=asdict(description), weights=folder / WEIGHTS,
        evaluation={"fd_domain": 1.0, "protocol": {}}, params={}, history=[], pictures=[], report=None, lock=None,
        fingerprint=description.fingerprint,
    )  # fmt: skip
    return made, generator


@pytest.fixture
def reference(featured):
    return Reference.open(featured.folder / "artifacts/features")


def test_the_champion_is_measured_from_its_files_in_the_registry(root, reference, tmp_path):
    def beside(made, generator):
        generator.save(tmp_path / "challenger")

        def compare(champion, **how):
            return compared(champion, tmp_path / "challenger", reference.folder, device="cpu", **how)

        return challenge(made, generator.spec, compare, name=NAME, root=root, samples=SAMPLES, split="test", seed=0)

    champion, challenger, large = (make(tmp_path / f"{i}", i, size) for i, size in enumerate((16, 16, 32)))
    assert beside(*challenger) is None  # there is no champion yet
    register(champion[0], name=NAME, decision=decide({}, {}), root=root)
    assert beside(*champion) is None  # it is the champion itself

    found = beside(*challenger)
    expected = of_samplers(champion[1], challenger[1], reference, samples=SAMPLES, split="test", seed=0)
    assert found.version == 1
    for name, figure in expected.figures.items():  # ONNX rounds otherwise: by one grey level in few pixels
        ours = found.comparison.figures[name]
        assert (ours.one, ours.other) == pytest.approx((figure.one, figure.other), rel=0.02, abs=0.02), name
    assert (
        found.content()["metrics"]["fd_domain"]["interval"][0] < found.content()["metrics"]["fd_domain"]["interval"][1]
    )

    refused = beside(*large)
    assert refused.comparison is None
    assert refused.content() == {
        "version": 1,
        "reason": "it draws 1 x 16 x 16 images, the challenger 1 x 32 x 32 images",
    }


def test_a_champion_without_its_files_is_an_error(root, reference, tmp_path):
    made, generator = make(tmp_path / "one", 0)
    register(made, name=NAME, decision=decide({}, {}), root=root)
    for file in root.rglob("generator.onnx"):
        file.unlink()
    other = replace(made, fingerprint="another training")
    with pytest.raises(RegistryError, match="the champion cannot be measured: version 1 of garments cannot be loaded"):
        challenge(other, generator.spec, compared, name=NAME, root=root, samples=SAMPLES, split="test", seed=0)
