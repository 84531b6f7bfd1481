"""Architectures: one file each, both players side by side.

A generator G maps z float [N, latent] and labels y int64 [N] (None if unconditional) to x float [N, *shape], nominally
in [-1, 1]; of films [N, C, T, H, W]; of texts, one-hot words [N, L, V]. A discriminator D maps x and y to scores float
[N]. Everything is plain PyTorch and made by `players(shape=, classes=, latent=, **options) -> (G, D)`: `shape` is that
of a sample as networks see it, and what an architecture cannot draw is its ValueError; classes = 0 means unconditional.

A generator that has a likelihood takes `given=` samples and returns their logits in the place of samples; one that is
`tempered` takes `temperature=` float [N], which is then what `truncation` means (`generator.artefact.draw`). Where only
the first numbers of z say what a sample is, and the others decide its details, `G.code` is their number: z may end
behind them, and then the sample is the likeliest one at each place.

Where a parameter of D moves the scores of all samples of a label alike, `D.offset` is its name: games that see only
differences of scores leave it where it is, unless they compare scores of different labels, which it moves by different
amounts where `D.offset_by_label` is True. There must be no parameter on which no score depends, such as a bias before
batch normalisation: its gradient would be rounding, which Adam makes a walk.
"""

from collections.abc import Callable

from torch import nn

from ganops.models import began, dcgan, infogan, lstm, mlp, mocogan, r3gan, sngan, stylegan2, wavegan

ARCHITECTURES: dict[str, Callable[..., tuple[nn.Module, nn.Module]]] = {
    "began": began.players,
    "dcgan": dcgan.players,
    "infogan": infogan.players,
    "lstm": lstm.players,
    "mlp": mlp.players,
    "mocogan": mocogan.players,
    "r3gan": r3gan.players,
    "sngan": sngan.players,
    "stylegan2": stylegan2.players,
    "wavegan": wavegan.players,
}
