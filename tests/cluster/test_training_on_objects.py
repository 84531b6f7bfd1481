"""Training on nodes whose storage is an object store: the same weights, also when the store is away."""

import os
import time

import pytest
from stage import DRIVER, Training

AWAY = float(os.environ.get("GANOPS_TEST_AWAY", "20"))
"""Seconds."""
pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_checkpoints_in_an_object_store(cluster, prepared, whole, objects):
    """They are written, found again by the same command after its driver died, and removed at the end."""
    training = Training(cluster, prepared, objects=objects)
    training.wait_checkpoint()
    cluster.head.kill_process(DRIVER)
    training.again()
    training.wait(240)
    assert training.result() == whole
    training.forget()
    assert training.unfinished() == [], "what is safe elsewhere has no checkpoints"


@pytest.mark.parametrize("silent", [False, True], ids=["unreachable", "silent"])
def test_a_store_that_is_away_for_a_while_is_waited_for(silent, cluster, prepared, whole, objects):
    """Longer than its client tries again by itself, where it is unreachable: then it says so."""
    training = Training(cluster, prepared, objects=objects)
    while not any(name.endswith("checkpoint_manager_snapshot.json") for name in training.files()):
        assert not training.ended(), training.log()
        time.sleep(0.05)
    objects.away(silent)
    try:
        time.sleep(AWAY)
        assert not training.ended(), training.log()
    finally:
        objects.back()
    log = training.wait(240 + AWAY)
    assert training.result() == whole
    if not silent:
        assert "NETWORK_CONNECTION" in log
        assert "it is waited for" in log
