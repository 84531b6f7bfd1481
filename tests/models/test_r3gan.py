import pytest
import torch

from ganops.models import r3gan

PUBLISHED = {"shape": (3, 32, 32), "latent": 64, "widths": 768, "depth": 2, "groups": 96}
"""The CIFAR-10 preset."""


def counts(**given):
    with torch.device("meta"):
        return [sum(p.numel() for p in network.parameters()) for network in r3gan.players(**given)]


def test_the_published_number_of_parameters():
    """G 20.73M, D 20.68M."""
    assert [round(count / 1e6, 2) for count in counts(**PUBLISHED, classes=0)] == [20.73, 20.68]


def test_labels_add_their_embeddings_and_what_reads_them():
    """10 x 64 in G, whose first layer reads 64 more; 10 x 768 in D, whose last layer has 768 outputs instead of 1."""
    plain, labelled = counts(**PUBLISHED, classes=0), counts(**PUBLISHED, classes=10)
    assert labelled[0] - plain[0] == 10 * 64 + 64 * 768
    assert labelled[1] - plain[1] == 10 * 768 + 768 * 767


def test_the_label_begins_at_the_published_scale():
    """D's embedding is a linear layer of one-hot labels, N(0, 1 / sqrt(width)) / sqrt(classes).

    So over the labels a score has the variance of the features' mean square divided by the number of classes.
    """
    torch.manual_seed(0)
    classes, features = 2000, []
    _, D = r3gan.players(shape=(1, 16, 16), classes=classes, latent=4, widths=16)
    D.score.register_forward_hook(lambda layer, inputs, output: features.append(output))
    with torch.no_grad():
        scores = D(torch.randn(1, 1, 16, 16).expand(classes, -1, -1, -1), torch.arange(classes))
    assert scores.var().item() == pytest.approx(features[0][0].square().mean().item() / classes, rel=0.1)


def test_blocks_start_as_the_identity():
    block = r3gan.Block(8, 2, 2, blocks=4)
    x = torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("resolution", "widths"), [(16, [128, 128, 64]), (64, [128, 128, 64, 32, 16])])
def test_default_widths_descend(resolution, widths):
    G, D = r3gan.players(shape=(1, resolution, resolution), classes=0, latent=4)
    assert [blocks[0].layers[0].in_channels for blocks in G.stages] == widths
    assert [blocks[0].layers[0].in_channels for blocks in D.stages] == widths[::-1]
    grouped = [blocks[0].layers[2] for blocks in G.stages]
    assert {layer.in_channels // layer.groups for layer in grouped} == {16}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [8, 8]}, "expected 3 numbers for 16 px"),
        ({"widths": 8, "groups": 3}, "3 does not divide"),
        ({"widths": [8, 0, 8]}, "widths: expected at least 1, got 0"),
        ({"groups": 0}, "groups: expected at least 1, got 0"),
        ({"groups": [4, -4, 4]}, "groups: expected at least 1, got -4"),
        ({"expansion": 0}, "expansion: expected at least 1, got 0"),
        ({"expansion": -2}, "expansion: expected at least 1, got -2"),
        ({"depth": -1}, "depth: expected at least 0, got -1"),
    ],
)
def test_impossible_widths_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        r3gan.players(shape=(1, 16, 16), classes=0, latent=4, **options)
