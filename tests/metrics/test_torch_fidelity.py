"""The same features give the same figures as torch-fidelity 0.4.0.

It prepares pictures in another way (scaled by 1/128 about 128, resized as TensorFlow 1 did), so its features are not
those of pytorch-fid, whose protocol is ours; what is compared is what becomes of features.
"""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from ganops.metrics.frechet import Statistics, frechet_distance
from ganops.metrics.inception_score import inception_score
from ganops.metrics.kernel import kernel_distance
from ganops.metrics.neighbours import precision_recall_density_coverage

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(240, 12)).astype(np.float32)
Y = RANDOM.normal(0.3, 1.4, (240, 12)).astype(np.float32)
PEER = (torch.from_numpy(Y), torch.from_numpy(X))


def test_frechet_distance():
    one, other = (fid_features_to_statistics(features) for features in PEER)
    expected = fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(Statistics.of(X), Statistics.of(Y)) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance():
    options = {"kid_subsets": 3, "kid_subset_size": 240, "verbose": False}
    expected = kid_features_to_metric(*PEER, **options)["kernel_inception_distance_mean"]
    assert kernel_distance(X, Y, subsets=3, size=240, seed=0).mean() == pytest.approx(expected, rel=1e-5)


def test_inception_score():
    logits = RANDOM.normal(0, 3, (240, 7))
    expected = isc_features_to_metric(torch.from_numpy(logits), shuffle=False)
    found = inception_score(softmax(logits, axis=1))
    assert found == pytest.approx((expected["inception_score_mean"], expected["inception_score_std"]), rel=1e-5)


def test_precision_and_recall():
    expected = prc_features_to_metric(*PEER, prc_neighborhood=3, prc_batch_size=100, verbose=False)
    found = precision_recall_density_coverage(X, Y, 3)
    assert 0.1 < found["precision"] < 0.9
    assert found["precision"] == pytest.approx(expected["precision"], rel=1e-6)  # its shares are float32
    assert found["recall"] == pytest.approx(expected["recall"], rel=1e-6)
