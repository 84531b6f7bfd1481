"""How workers share a batch. What they compute from it: tests/training/test_workers.py."""

import pytest
import torch

from ganops.core import collective
from ganops.core.collective import group_size, most_workers, shares, sharing, total, weighted, workers
from ganops.core.errors import ConfigError


@pytest.mark.parametrize("batch", range(1, 41))
@pytest.mark.parametrize("group", [1, 2, 3, 4, 32])
def test_any_number_of_workers_has_whole_groups_as_equal_as_can_be(batch, group):
    size = group_size(batch, group)
    for number in range(1, most_workers(batch, group) + 1):
        parts = shares(batch, number, group)
        assert len(parts) == number
        assert [i for part in parts for i in range(batch)[part]] == list(range(batch)), "in order, each once"
        groups = [len(range(batch)[part]) // size for part in parts]
        assert all(len(range(batch)[part]) % size == 0 for part in parts)
        assert 1 <= min(groups) >= max(groups) - 1
    with pytest.raises(ConfigError, match=f"at most {number} can"):
        shares(batch, number + 1, group)


def test_a_group_is_what_one_worker_compares():
    assert [group_size(12, group) for group in (1, 4, 5, 12, 99)] == [1, 4, 4, 12, 12]
    assert group_size(32, 3) == 2
    with pytest.raises(
        ConfigError,
        match=r"^7 workers cannot share a batch of 24 samples in groups of 4 that D compares \(model.options.group\): "
        "at most 6 can$",
    ):
        shares(24, 7, 4)


def test_one_process_alone_weighs_one():
    x = torch.ones(2)
    assert workers() == 1
    with sharing(3, 12):
        assert weighted(x) is x
        assert total(5) == 5


def test_weights_are_those_of_the_samples(monkeypatch):
    monkeypatch.setattr("ganops.core.collective.workers", lambda: 3)
    x = torch.ones((), dtype=torch.float64)
    assert weighted(x) is x
    assert total(7) == 21
    parts = [len(range(32)[part]) for part in shares(32, 3)]
    weights = []
    for own in parts:
        with sharing(own, 32):
            weights.append(weighted(x).item())
            assert total(own * 9) == 32 * 9
    assert weights == pytest.approx([own * 3 / 32 for own in parts])
    with sharing(11, 33):
        assert weighted(x) is x, "equal shares: the very same bits"
    assert weighted(x) is x


@pytest.mark.parametrize("sizes", [(4, 4, 4), (5, 4, 3)])
def test_moments_of_workers_are_those_of_all_samples_also_far_from_zero(sizes, monkeypatch):
    """Float32 numbers 1e4 deviations away: E[x²] - E[x]² would have no digit left."""
    x = 1e4 + torch.randn(sum(sizes), 6, generator=torch.Generator().manual_seed(0))
    parts = x.split(sizes)
    own = [torch.stack([part.mean(0), part.var(0, correction=0)]) for part in parts]
    rows = [torch.cat([each, torch.full((1, 6), len(part) / len(x))]) for each, part in zip(own, parts, strict=True)]
    monkeypatch.setattr(collective, "workers", lambda: 3)
    monkeypatch.setattr(collective._Gather, "apply", lambda stacked: torch.stack(rows)[:, : len(stacked)])
    with sharing(sizes[0], len(x)):
        mean, variance = collective.moments_over_workers(*own[0])
    assert torch.allclose(mean.double(), x.double().mean(0), rtol=1e-6)
    assert torch.allclose(variance.double(), x.double().var(0, correction=0), rtol=1e-2)
