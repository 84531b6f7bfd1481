"""The domain extractor trained on the null GPU, counted; as a script it prints JSON."""

import json

import numpy as np
import torch
from steps import counts, since

from ganops.core.devices import repeatable
from ganops.metrics.extractors.domain import Domain

if __name__ == "__main__":
    device, source = torch.device("cuda", 0), np.random.default_rng(0)
    images, labels = source.integers(0, 256, (300, 3, 32, 32), dtype=np.uint8), np.arange(300) % 3
    before = counts()
    made = Domain.make(images, labels, images, None, seed=0, device="cuda", kimg=1.28)
    trained, flags = since(before), torch.backends.cudnn
    before = counts()
    made.features(images)
    with repeatable(device):
        inside = [flags.enabled, flags.deterministic, flags.benchmark, flags.allow_tf32,
                  torch.are_deterministic_algorithms_enabled()]  # fmt: skip
    after = [flags.allow_tf32, torch.are_deterministic_algorithms_enabled()]
    print(
        json.dumps({"trained": trained, "looked": since(before), "inside": inside, "after": after, "card": made.card})
    )
