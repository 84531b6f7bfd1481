"""The request to stop: whenever it comes, all workers stop after the same step."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ganops.distributed.board import Gate


class Team:
    """Workers as threads, which wait for each other within each step, and the board's part."""

    def __init__(self, workers, seed):
        self.workers, self.rng = workers, random.Random(seed)
        self.together, self.said = threading.Barrier(workers), threading.Barrier(workers)
        self.entered = {}

    def work(self, rank, seconds, steps):
        """The last step of a worker that hears the request after some seconds."""
        gate, pause = Gate(0), random.Random(rank)

        def listen():
            time.sleep(seconds)
            self.entered[rank] = gate.close()
            self.said.wait(20)
            gate.open(max(self.entered.values()))

        listener = threading.Thread(target=listen)
        listener.start()
        for step in range(1, steps + 1):
            self.together.wait(20)  # a sum over the workers
            time.sleep(pause.uniform(0, 0.002))
            if gate(step):
                break
        listener.join()
        return step


@pytest.mark.parametrize("seed", range(10))
def test_all_workers_stop_after_the_same_step_and_none_waits_for_ever(seed):
    rng = random.Random(seed)
    workers = rng.choice([1, 2, 5])
    team = Team(workers, seed)
    with ThreadPoolExecutor(workers) as pool:
        moments = [rng.uniform(0, 0.1) for _ in range(workers)]
        last = set(pool.map(lambda rank: team.work(rank, moments[rank], 1000), range(workers)))
    assert last == {max(team.entered.values())}
    assert last < {*range(1, 1000)}


def test_a_request_after_the_last_step_changes_nothing():
    gate = Gate(7)
    assert not gate(8)
    assert gate.close() == 9
    gate.open(9)
    assert gate(9)
