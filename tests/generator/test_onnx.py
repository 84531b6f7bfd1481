import logging
import math
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from ganops.core.errors import RegistryError, TrainingError
from ganops.generator.onnx import Renderer, compare, export_onnx, graph_inputs
from ganops.kinds import Spec
from ganops.models import coded

LATENT, CLASSES = 6, 3
SPEC = Spec("image", (3, 8, 8))


class Tiny(nn.Module):
    """The smallest generator that has what real ones have: a projection, batch normalisation, an embedding."""

    def __init__(self, classes=0, shape=(3, 8, 8)):
        super().__init__()
        self.shape = shape
        self.project = nn.Linear(LATENT, math.prod(self.shape))
        self.embed = nn.Embedding(classes, LATENT) if classes else None
        self.norm = nn.BatchNorm2d(shape[0])

    def forward(self, z, y=None):
        z = z if self.embed is None else z + self.embed(y)
        return torch.tanh(self.norm(self.project(z).view(-1, *self.shape)))


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    torch.manual_seed(0)
    G = Tiny(CLASSES)
    path = tmp_path_factory.mktemp("export") / "generator.onnx"
    export_onnx(G, path, replace(SPEC, classes=CLASSES), latent=LATENT)
    return G, path


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_graph_has_the_promised_inputs_and_output(conditional):
    graph = session(conditional[1])
    described = {tensor.name: (tensor.type, len(tensor.shape)) for tensor in graph.get_inputs()}
    assert described == {"z": ("tensor(float)", 2), "truncation": ("tensor(float)", 1), "labels": ("tensor(int64)", 1)}
    (images,) = graph.get_outputs()
    assert (images.name, images.type, images.shape[1:]) == ("images", "tensor(uint8)", [8, 8, 3])
    assert isinstance(images.shape[0], str), "the number of samples must be free"


@pytest.mark.parametrize("count", [1, 2, 33])
def test_pictures_agree_with_eager_in_any_batch(conditional, count):
    G, path = conditional
    inputs = graph_inputs(np.arange(count) - 5, 0.7, latent=LATENT, classes=CLASSES)
    images = session(path).run(["images"], inputs)[0]
    G.eval()
    with torch.no_grad():
        samples = G(torch.from_numpy(inputs["z"]) * 0.7, torch.from_numpy(inputs["labels"]))
    eager = (samples.permute(0, 2, 3, 1).numpy() + 1) * 127.5
    assert images.shape == (count, 8, 8, 3)
    assert np.abs(images - eager).max() < 1
    assert images.std() > 10, "a flat picture would agree with anything"


def test_unconditional_export_is_silent_and_leaves_the_module_as_it_was(tmp_path, capfd, caplog, recwarn):
    caplog.set_level(logging.WARNING)
    G = Tiny(shape=(1, 8, 8)).double()
    export_onnx(G, tmp_path / "g.onnx", Spec("image", (1, 8, 8)), latent=LATENT)
    printed = capfd.readouterr()
    assert (printed.out, printed.err, caplog.records, recwarn.list) == ("", "", [], [])
    assert G.training
    assert all(p.dtype == torch.float64 and p.requires_grad for p in G.parameters())

    graph = session(tmp_path / "g.onnx")
    assert [tensor.name for tensor in graph.get_inputs()] == ["z", "truncation"], "no classes, no labels"
    images = graph.run(["images"], graph_inputs(np.arange(5), 0.0, latent=LATENT, classes=0))[0]
    assert (images == images[0]).all(), "truncation 0 leaves one sample only"


def test_file_is_single_and_names_nothing_of_this_machine(conditional):
    _, path = conditional
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    content = path.read_bytes()
    for trace in (b"site-packages", b"/torch/", b".py", str(path.parent).encode()):
        assert trace not in content, trace


def test_same_weights_same_bytes(conditional, tmp_path):
    G, path = conditional
    export_onnx(G, tmp_path / "again.onnx", replace(SPEC, classes=CLASSES), latent=LATENT)
    assert (tmp_path / "again.onnx").read_bytes() == path.read_bytes()


class Branching(Tiny):
    def forward(self, z, y=None):
        return super().forward(z * 2 if len(z) > 4 else z, y)


class Noisy(Tiny):
    def forward(self, z, y=None):
        samples = super().forward(z, y)
        return samples + torch.randn_like(samples)


class Broken(Tiny):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, z, y=None):
        return super().forward(z, y) + self.value


@pytest.mark.parametrize(("G", "message"), [(Branching(), "batch"), (Noisy(), "grey levels")])
def test_generator_that_cannot_be_served_is_refused_and_leaves_no_file(tmp_path, G, message):
    with pytest.raises(RegistryError, match=message):
        export_onnx(G, tmp_path / "g.onnx", SPEC, latent=LATENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_generator_of_no_numbers_is_refused_and_leaves_no_file(tmp_path, value):
    """Rounded to uint8, NaN would be black, and infinity white."""
    G = Broken(value)
    with pytest.raises(TrainingError, match=r"not finite \(NaN or infinity\) in 8 of 8 samples"):
        export_onnx(G, tmp_path / "g.onnx", SPEC, latent=LATENT)
    assert list(tmp_path.iterdir()) == []


def test_one_grey_level_is_rounding_and_two_are_not():
    eager = np.full((1, 2, 2, 1), 100, np.uint8)
    compare(eager + np.uint8(1), eager, SPEC)
    compare(eager - np.uint8(1), eager, SPEC)
    with pytest.raises(RegistryError, match="by 2 grey levels"):
        compare(eager - np.uint8(2), eager, SPEC)
    with pytest.raises(RegistryError, match="draws"):
        compare(eager[..., 0], eager, SPEC)


def test_renderer_is_a_copy():
    G = Tiny()
    renderer = Renderer(G, SPEC)
    with torch.no_grad():
        G.project.weight.zero_()
    assert renderer.G.project.weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("prior", "classes"),
    [
        ({"name": "fitted", "components": 1}, CLASSES),
        ({"name": "fitted", "components": 4}, CLASSES),
        ({"name": "fitted", "components": 4}, 0),
        ({"name": "two_stage", "hidden": 8}, CLASSES),
    ],
)
def test_one_seed_is_one_picture_behind_a_prior(prior, classes, tmp_path):
    """Alone or in a batch, in PyTorch and in ONNX, truncated or not: the decoder sees the same code."""
    torch.manual_seed(0)
    G = coded.with_prior(Tiny(classes), LATENT, classes, prior).eval()
    if isinstance(G, coded.Fitted):
        codes = torch.randn(200, LATENT) * torch.linspace(0.2, 2, LATENT) + torch.arange(200)[:, None] % 4
        G.density.fit(codes, torch.arange(200) % classes if classes else None, seed=0)
    else:
        torch.nn.init.normal_(G.prior.layers[-1].weight, std=0.1)
        G.vary(torch.tensor(0.3))
    latent = coded.latent(LATENT, prior)
    assert latent == G.latent
    export_onnx(G, tmp_path / "g.onnx", replace(SPEC, classes=classes), latent=latent)
    graph, renderer = session(tmp_path / "g.onnx"), Renderer(G, SPEC)
    for truncation in (1.0, 0.5, 0.0):
        inputs = graph_inputs(np.arange(40), truncation, latent=latent, classes=classes)
        batch = graph.run(["images"], inputs)[0]
        compare(batch, renderer.render(inputs), SPEC)
        for seed in (0, 1, 7, 39):
            alone = {name: value[seed : seed + 1] for name, value in inputs.items()}
            compare(graph.run(["images"], alone)[0], batch[seed : seed + 1], SPEC)
            compare(renderer.render(alone), batch[seed : seed + 1], SPEC)
        assert len({picture.tobytes() for picture in batch}) == (40 if truncation else classes or 1)
