"""Discriminators whose score is the error of a reconstruction."""

import pytest
import torch

from ganops.models import began, infogan, mlp


def critics():
    torch.manual_seed(0)
    given = {"shape": (3, 16, 16), "classes": 2, "latent": 5}
    return {
        "began": began.players(**given, width=4)[1],
        "infogan": infogan.players(**given, width=16, hidden=32, critic="autoencoder")[1],
        "mlp": mlp.players(**given, width=8, critic="autoencoder")[1],
    }


@pytest.mark.parametrize("name", ["began", "infogan", "mlp"])
def test_the_score_is_the_mean_absolute_error_of_each_sample(name):
    D = critics()[name]
    x, y = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])
    again = D.reconstruct(x, y)
    assert again.shape == x.shape
    by_hand = torch.stack([(x[i] - again[i]).abs().sum() / (3 * 16 * 16) for i in range(4)])
    assert torch.allclose(D(x, y), by_hand, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["began", "infogan", "mlp"])
def test_an_autoencoder_learns_to_reconstruct(name):
    D = critics()[name]
    x, y = torch.rand(4, 3, 16, 16) * 2 - 1, torch.tensor([0, 1, 1, 0])
    adam = torch.optim.Adam(D.parameters(), lr=2e-3)
    start = D(x, y).mean().item()
    for _ in range(100):
        adam.zero_grad()
        D(x, y).mean().backward()
        adam.step()
    assert D(x, y).mean().item() < 0.8 * start


def test_the_generator_has_the_architecture_of_the_decoder():
    """BEGAN, section 3.5; not its weights."""
    G, D = began.players(shape=(1, 32, 32), classes=2, latent=5, width=4)
    ours, theirs = G.state_dict(), D.decoder.state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: t.shape for n, t in theirs.items()}
    assert not torch.equal(ours["start.weight"], theirs["start.weight"])
