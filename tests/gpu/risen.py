"""Steps of a VAE whose weight of the divergence rises in a tenth of them, with graphs; as a script it prints JSON."""

import json
from itertools import pairwise

import torch
from steps import StoppedError, counts, opened, settings

from ganops.training.loop import train

RISES, STEPS = 20, 100
"""Steps in which the weight rises, and those that are played of ten times as many."""

if __name__ == "__main__":
    torch.set_num_threads(1)
    device = torch.device("cuda", 0)
    kimg = 10 * RISES * 8 / 1000
    options = {"loss.options": {"anneal": 0.1}, "train.batch": 8, "train.kimg": kimg, "train.tick_kimg": kimg}
    run = opened("vae", device, **options)
    seen = []

    def asked(turn: int):  # as `Batches`
        now = counts()
        seen.append({"graphs": now["graphs"], "waits": now["waits"] + now["pageable"]})
        if turn == STEPS:
            raise StoppedError
        return run.batches(turn)

    try:
        with settings("vae", device):
            for _ in train(run.state, asked, run.last.objective, run.last.recipe, seed=3, graphs=True):
                pass
    except StoppedError:
        pass
    each = [{key: after[key] - before[key] for key in before} for before, after in pairwise(seen)]
    print(json.dumps({"rising": each[3:RISES], "risen": each[RISES + 20 :]}))
