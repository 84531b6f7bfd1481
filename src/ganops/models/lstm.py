"""LSTM (Hochreiter & Schmidhuber 1997) that writes texts word by word, and convolutions that read them (Kim 2014).

A text is x float [N, L, V]: a one-hot word at each of L places. Every decision of G is made by two numbers of z of its
own: they give a uniform number u, and the word is the first one whose cumulative probability exceeds u (inversion,
Devroye 1986, chapter III.2). So a latent is one text, and ancestral sampling is exact. In training the words are hard,
as real ones are, and their gradient is that of their probabilities (straight-through, Bengio et al. 2013).

With a code, z begins with its numbers, which all words depend on: they make the first state of the LSTMs, and stand
beside each word, as a label does (Bowman et al. 2016, "Generating sentences from a continuous space", section 3).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganops.core.devices import exact
from ganops.models.layers import Projection, wide

INSIDE = 1e-30, 1 - 2**-24
"""Least and largest probability whose Gumbel number is finite in float32."""
COLDEST = 1e-4
"""Least temperature: below it, the likeliest word is drawn."""
STEPS = 65536
"""Values of a number of a latent, as `core.latents` draws it: the second number divides a step of the first one."""


class Generator(nn.Module):
    """z and the words so far -> the next word, place by place."""

    tempered = True
    """`truncation` of a sample is the temperature of its words, and does not scale z."""

    def __init__(
        self, *, length: int, words: int, classes: int, width: int, embedding: int, layers: int,
        softness: float | None = None, code: int = 0,
    ) -> None:  # fmt: skip
        """Args as in `players`."""
        super().__init__()
        self.length, self.layers, self.width, self.softness = length, layers, width, softness
        self.code, self.numbers = code, length * (2 if softness is None else words)
        self.reader = nn.Linear(words, embedding, bias=False)
        self.first = nn.Parameter(torch.zeros(embedding))
        self.label = nn.Embedding(classes, embedding) if classes else None
        self.recurrent = nn.LSTM(embedding, width, layers, batch_first=True)
        self.writer = nn.Linear(width, words)
        nn.init.normal_(self.reader.weight)
        nn.init.normal_(self.first)
        if self.label is not None:
            nn.init.normal_(self.label.weight)
        self.beside = nn.Linear(code, embedding, bias=False) if code else None
        self.states = nn.Linear(code, 2 * layers * width) if code else None

    def forward(
        self, z: Tensor, y: Tensor | None = None, *, temperature: Tensor | None = None, given: Tensor | None = None
    ) -> Tensor:
        """Float z [N, latent], int64 [N] -> one-hot words [N, L, V], whose gradient is that of their probabilities.

        Args:
            z: Those of the code, if there is one, and as many standard normal numbers for each word. The code alone:
                each word is the likeliest one after those before it.
            y: Labels.
            temperature: Divides the logits, [N]; None: 1.
            given: Texts [N, L, V]; then the result are the logits of each of their words, given those before it, and
                of z the code alone is looked at. A row of zeros is a word that is not seen.
        """
        code, state = self._code(z), self._first_state(z)
        if given is not None:
            return _tempered(self.writer(self._recur(self._read(given, y, code), state)[0]), temperature)
        if z.shape[1] == self.code:
            z, temperature = F.pad(z, (0, self.numbers)), z.new_zeros(len(z))
        chances = _uniform(z[:, self.code :]) if self.softness is None else _gumbel(z[:, self.code :])
        word, texts = self._start(z.shape[0], y, code), []
        for chance in chances.chunk(self.length, 1):
            hidden, state = self._recur(word[:, None], state)
            logits = self.writer(hidden[:, 0])
            if self.softness is None:
                drawn = _drawn(logits, chance, temperature)
            else:
                drawn = _raced(logits, chance, temperature, self.softness if self.training else None)
            texts.append(drawn)
            word = self._shown(drawn, y, code)
        return torch.stack(texts, 1)

    def _recur(self, seen: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The LSTMs, outside of autocast: not all processors have one in bfloat16."""
        with torch.autocast(seen.device.type, enabled=False):
            found: tuple[Tensor, tuple[Tensor, Tensor]] = self.recurrent(wide(seen), state)
        return found

    def _first_state(self, z: Tensor) -> tuple[Tensor, Tensor] | None:
        """The LSTMs' outputs and cells before the first word, each [layers, N, width]; None: zeros."""
        if self.states is None:
            return None
        found = wide(self.states(z[:, : self.code])).view(-1, 2, self.layers, self.width)
        hidden, cell = found.permute(1, 2, 0, 3).contiguous().unbind()
        return hidden.tanh(), cell

    def _code(self, z: Tensor) -> Tensor | None:
        """Embed the code, which stands beside each word: [N, embedding]; None: there is none."""
        return None if self.beside is None else self.beside(z[:, : self.code])

    def _read(self, texts: Tensor, y: Tensor | None, code: Tensor | None) -> Tensor:
        """Embed the words before each place of given texts: [N, L, V] -> [N, L, embedding]."""
        start = self._start(texts.shape[0], y, code)[:, None]
        return torch.cat([start, self._shown(texts[:, :-1], y, code)], 1) if self.length > 1 else start

    def _start(self, count: int, y: Tensor | None, code: Tensor | None) -> Tensor:
        return self._with(self.first.expand(count, -1), y, code)

    def _shown(self, words: Tensor, y: Tensor | None, code: Tensor | None) -> Tensor:
        """Embed words [N, V], or [N, L, V], and what stands beside them."""
        return self._with(self.reader(words.to(self.reader.weight.dtype)), y, code)

    def _with(self, seen: Tensor, y: Tensor | None, code: Tensor | None) -> Tensor:
        """Add the label and the code to embedded words, [N, embedding] or [N, L, embedding]."""
        for beside in (None if self.label is None else self.label(y), code):
            if beside is not None:
                seen = seen + (beside if seen.dim() == 2 else beside[:, None])
        return seen


def _uniform(z: Tensor) -> Tensor:
    """Standard normal numbers [N, 2 L] -> uniform ones in [0, 1], float64 [N, L] (`devices.exact`), of 16 bits each.

    Whole steps, so that all runtimes have the same: those of a latent's numbers lie half-way between two.
    """
    coarse, fine = exact((torch.special.ndtr(wide(z)) * STEPS).floor().clamp(0, STEPS - 1)).chunk(2, 1)
    chances: Tensor = (coarse + (fine + 0.5) / STEPS) / STEPS
    return chances


def _drawn(logits: Tensor, chances: Tensor, temperature: Tensor | None) -> Tensor:
    """Draw one word of each row: logits [N, V], uniform numbers float64 [N, 1] -> one-hot [N, V].

    Autocast would leave a softmax and its sums in bfloat16, which has three digits.
    """
    with torch.autocast(logits.device.type, enabled=False):
        shares = _tempered(wide(logits), temperature).softmax(1)
        with torch.no_grad():
            # in float64: two runtimes that round sums of thousands of words would draw different ones
            number = (exact(shares).cumsum(1) <= chances).sum(1).clamp_max(shares.shape[1] - 1)
            hard = F.one_hot(number.to(shares.device), shares.shape[1]).to(shares)
        return hard + (shares - shares.detach()) if shares.requires_grad else hard


def _gumbel(z: Tensor) -> Tensor:
    """Standard normal numbers -> standard Gumbel numbers, of the same shape."""
    chances: Tensor = torch.special.ndtr(wide(z)).clamp(*INSIDE)
    return -(-chances.log()).log()


def _raced(logits: Tensor, chances: Tensor, temperature: Tensor | None, softness: float | None) -> Tensor:
    """Draw the word whose sum of logit and Gumbel number is largest (Gumbel 1954), one-hot or as a softmax: [N, V]."""
    with torch.autocast(logits.device.type, enabled=False):
        sums = _tempered(wide(logits), temperature) + chances.to(logits)
        hard = F.one_hot(sums.argmax(1), sums.shape[1]).to(sums)
        word: Tensor = hard if softness is None else (sums / softness).softmax(1)
        return word


def _tempered(logits: Tensor, temperature: Tensor | None) -> Tensor:
    """Divide logits [N, ..., V] by temperatures [N]."""
    if temperature is None:
        return logits
    return logits / temperature.to(logits).clamp_min(COLDEST).view(-1, *[1] * (logits.dim() - 1))


class Discriminator(nn.Module):
    """Embedded words -> convolutions of several widths -> soft maxima over the places -> the score."""

    offset = "score.linear.bias"
    """The parameter that moves all scores alike."""
    beyond = ("score",)
    """The parts behind the features."""

    def __init__(self, *, length: int, words: int, classes: int, width: int, embedding: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(words, embedding, bias=False)
        nn.init.normal_(self.embedding.weight)
        widths = range(1, min(WIDEST, length) + 1)
        self.filters = nn.ModuleList(nn.Conv1d(embedding, width, each) for each in widths)
        self.hidden = nn.Linear(width * len(self.filters), width)
        self.width = width
        self.score = Projection(width, classes)

    def features(self, x: Tensor) -> Tensor:
        """Float [N, L, V] -> [N, width]."""
        seen = self.embedding(x).transpose(1, 2)
        found = [_soft_maximum(F.leaky_relu(each(seen), SLOPE)) for each in self.filters]
        return F.leaky_relu(self.hidden(torch.cat(found, 1)), SLOPE)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Float [N, L, V], int64 [N] -> scores [N]."""
        score: Tensor = self.score(self.features(x), y)
        return score


WIDEST = 4
"""Words that the widest convolution sees."""
SLOPE = 0.2
"""Slope of the leaky ReLU below zero."""


def _soft_maximum(x: Tensor) -> Tensor:
    """log(mean(exp(x))) over the places: [N, C, L] -> [N, C]; smooth, so that it can be differentiated twice."""
    return x.logsumexp(2) - math.log(x.shape[2])


def players(
    *, shape: tuple[int, ...], classes: int, latent: int, width: int = 128, embedding: int = 64, layers: int = 1,
    softness: float | None = None, code: int = 0,
) -> tuple[Generator, Discriminator]:  # fmt: skip
    """Both players.

    Args:
        shape: [L, V]: places of a text, and words of the vocabulary.
        classes: 0 is unconditional.
        latent: `code` + 2 L: two numbers for each word; with `softness` `code` + L V.
        width: Units of each LSTM, and filters of D of each width.
        embedding: Dimensions of a word.
        layers: LSTMs of G, one behind the other: 1, 2 or 3.
        softness: Temperature of the Gumbel softmax (Jang et al. 2017) that D is shown in training in the place of
            words, as in RelGAN (Nie et al. 2019). Real words are hard, so D sees at once which are real.
        code: Numbers of a text's code, on which all its words depend, and which `vae` decodes; 0: there is none.
    """
    if len(shape) != 2 or shape[0] < 2:  # a wave has one row
        expected = "lstm writes texts, data.kind: text, of at least 2 words, data.length"
        raise ValueError(f"{expected}; got samples of {' x '.join(map(str, shape))}")
    length, words = shape
    if code < 0:
        raise ValueError(f"code: expected at least 0, got {code}")
    if latent != (numbers := numbers_of(length, words, softness, code)):
        first, count = f"{code} of the code and " if code else "", "two" if softness is None else f"{words:,}"
        expected = f"{first}{count} numbers a word, {numbers} for texts of {length}"
        raise ValueError(f"latent: expected {expected}, got {latent}")
    if softness is not None and softness <= 0:
        raise ValueError(f"softness: expected a temperature above 0, got {softness:g}")
    if not 1 <= layers <= 3:
        raise ValueError(f"layers: expected 1, 2 or 3, got {layers}")
    sizes = {"length": length, "words": words, "classes": classes, "embedding": embedding}
    G = Generator(width=width, layers=layers, softness=softness, code=code, **sizes)
    return G, Discriminator(width=width, **sizes)


def numbers_of(length: int, words: int, softness: float | None = None, code: int = 0) -> int:
    """Return the numbers of a latent: those of the code, and for each place two, or with `softness` one for each word.

    Args as in `players`, of texts [L, V].
    """
    return code + length * (2 if softness is None else words)
