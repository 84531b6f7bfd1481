"""The catalogue: one row for each metric, with all that is known of a figure by its name.

What a gate may limit, which direction is better, what a person is told, the headline and the sections of the report are
read from here. A metric is added by a file with its mathematics and a row: a row with `figure` is measured on all
samples and on their halves (`measure`), and on the rungs of the ladder (`sight`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from numpy.typing import NDArray

Figure = Callable[[NDArray[Any], NDArray[Any]], float]
"""Real features [N, d] and generated features [M, d] -> the figure."""

SHAPELESS = (
    "noise", "low_rank", "shuffled_patches", "shuffled_pieces", "heavy_blur", "heavy_smear", "black", "silence",
    "mixed_words",
)  # fmt: skip
"""Rungs of the ladder, of any kind, on which no sample is like a real one."""
MONOTONOUS = ("half", "few", "black", "silence", "repeated")
"""Rungs of the ladder that lack variety."""
ALL = tuple(dict.fromkeys((*SHAPELESS, *MONOTONOUS, "shuffled_words")))
JUDGING = 50
"""Samples of a side by which `metrics.classifiers` judges, at least: with fewer an interval would say nothing."""
MOTIONLESS = ("shuffled_frames", "frozen")
"""Rungs of films whose frames are real ones, and whose motion is none."""


@dataclass(frozen=True)
class Metric:
    """A metric: the name of its figure, and what is known of it."""

    name: str
    """A star stands for the name of an extractor."""
    better: Literal["lower", "higher", "near the control"]
    """near the control: as the held-out images have it (see `memorisation`)."""
    sentence: str
    """A sentence for people."""
    range: tuple[float, float] | None = None
    """The worst and the best value, where it has both."""
    beyond: bool = False
    """True where a figure may lie beyond the best value, which is that of real samples."""
    needs: tuple[Literal["published", "classifier", "labels", "pixels", "texts", "films"], ...] = ()
    """The published weights of FID, an extractor that is a classifier, a conditional generator, samples that the
    networks of `metrics.classifiers` can look at, texts, films."""
    panel: Literal["extractor", "classifiers", "memorisation"] = "extractor"
    """The part that computes it: features, `metrics.classifiers`, or `metrics.memorisation`, a section of its own."""
    distance: bool = False
    """One of two crowds of features, which real images have as well: its floor."""
    headline: bool = False
    """One of the figures that people ask for first, in the order of these rows."""
    limited: bool = False
    """Taken on the validation split while a search runs, so that `tune.limits` can ask for it."""
    ungated: str = ""
    """The reason why no limit of `register.gate` is by it; empty: one may be."""
    rungs: tuple[str, ...] = ()
    """The rungs of the ladder that it must tell from real images (see `sight`)."""
    because: str = ""
    """The reason why these rungs."""
    least: float = 0
    """The figure that says nothing: an inception score of 1."""
    share: float = 0.25
    """Share of the mean of real images by which a rung must be worse to be told."""
    beside: str = ""
    """The row of the figure without which it decides nothing, however well it sees: that one sees what it cannot."""
    figure: Figure | None = None
    """The function that computes it; None: `measure` has a way of its own for it."""

    @property
    def compared(self) -> bool:
        """True where it has an interval by half-sampling, so that two generators are compared in it."""
        return self.panel == "extractor" and not self.ungated


FRECHET = "Fréchet distance: how far the crowd of generated samples lies from the crowd of real ones."
INFINITY = "The Fréchet distance that endlessly many generated samples would have."
KERNEL = "Kernel distance: compares the two crowds without assuming a shape; near 0 where they are equal."
PUBLISHED = "In the published InceptionV3 features."
CROWDS = "a distance of two crowds must grow with bad samples and with missing ones"

METRICS: tuple[Metric, ...] = (
    Metric("fid", "lower", f"{FRECHET} {PUBLISHED}", needs=("published",), distance=True, headline=True),
    Metric("fid_infinity", "lower", INFINITY, needs=("published",), distance=True),
    Metric("kid", "lower", f"{KERNEL} {PUBLISHED}", needs=("published",), distance=True),
    Metric("fd_*", "lower", FRECHET, distance=True, headline=True, rungs=(*ALL, *MOTIONLESS), because=CROWDS),
    Metric("fd_motion", "lower", "Fréchet distance of the differences between frames: how far the motion of generated "
           "films is from that of real ones, which the other distance hardly sees.", needs=("films",), distance=True,
           headline=True),
    Metric("fd_*_infinity", "lower", INFINITY, distance=True),
    Metric("kd_*", "lower", KERNEL, distance=True, rungs=(*ALL, *MOTIONLESS), because=CROWDS),
    Metric("nll_*", "lower", "Nats of a generated text by the extractor's language model: quality. Low for likely "
           "texts, lowest for one of them repeated: nothing without the distance.", needs=("texts",), headline=True,
           rungs=ALL, share=0.05, beside="fd_*",
           because="worse texts are less likely; a lack of variety it cannot see, so that it never decides alone"),
    Metric("is_*", "higher", "Inception score: is each sample clearly of one class, and are all classes there?",
           needs=("classifier",), rungs=(*SHAPELESS, "half"), least=1,
           because="it claims that each sample is clearly of one class and that all classes are there"),
    Metric("class_kl", "lower", "How far the classes of generated samples are from those of real ones; 0 if equal.",
           needs=("classifier",), rungs=("half", "black", "silence"),
           because="it compares the shares of the classes, and nothing within a class"),
    Metric("precision", "higher", "Share of generated samples that lie among real ones: fidelity.", (0, 1),
           headline=True, limited=True, rungs=SHAPELESS,
           because="fidelity: none of these lies among real images; variety is the matter of recall"),
    Metric("recall", "higher", "Share of real samples that lie among generated ones: variety.", (0, 1),
           headline=True, limited=True, rungs=MONOTONOUS,
           because="variety: most real images are missing; wide-spread bad samples are precision's matter"),
    Metric("density", "higher", "How many real samples a generated one is close to; 1 for real data: fidelity.", (0, 1),
           beyond=True, limited=True, rungs=SHAPELESS,
           because="fidelity: none of these lies among real images; variety is the matter of coverage"),
    Metric("coverage", "higher", "Share of real samples with a generated one nearby: variety, robust.", (0, 1),
           headline=True, limited=True, rungs=ALL,
           because="a real image is covered by a sample that is like it: neither bad nor missing ones are"),
    Metric("motion_in_range", "higher", "Share of generated films that move as fast as nearly all real ones: films "
           "that stand still or jump lie outside.", (0, 1), needs=("films",), rungs=("frozen",),
           because="it claims that films move as fast as real ones; films that jitter may well do so"),
    Metric("motion_straight", "higher", "Share of generated films that move as straight as nearly all real ones: films "
           "that jitter or turn back lie outside.", (0, 1), needs=("films",), rungs=("shuffled_frames",),
           because="it claims that films keep their way as real ones do; a still keeps any"),
    Metric("motion_directions", "lower", "Share of generated films that would have to move in another direction to be "
           "spread as real ones are.", (1, 0), needs=("films",),
           rungs=("frozen",), because="it claims that films go somewhere; shuffled ones go anywhere, as real ones do"),
    Metric("modes", "higher", "Classes that the extractor sees among the generated samples.", needs=("classifier",),
           ungated="a count without an interval; class_kl tells more of the classes"),
    Metric("authenticity", "near the control", "Share of images that are farther from their nearest training image "
           "than that is from its own nearest; copies lower it.", panel="memorisation"),
    Metric("ct", "near the control", "Data-copying test C_T, a z-score: far below 0 where images lie closer to "
           "training images than held-out ones do.", panel="memorisation"),
    Metric("near_copies", "near the control", "Share of images as close to a training image as the closest 1 % of the "
           "held-out images.", panel="memorisation"),
    Metric("ct_cells", "higher", "Cells of C_T with enough samples on both sides.", panel="memorisation",
           ungated="it says how C_T was taken, and nothing of the generator"),
    Metric("copied_share", "lower", "Share of copies that would explain the signs.", (1, 0), panel="memorisation"),
    Metric("memorisation_verdict", "lower", "0: no copies seen, 1: some, 2: copies.", (2, 0), panel="memorisation"),
    Metric("self_bleu", "near the control", "BLEU-4 of each text against the others: how alike they are. Low for "
           "varied texts, and for noise.", needs=("texts",),
           ungated="its best value is that of real texts, so that neither end of it is a limit"),
    Metric("exact_copies", "near the control", "Share of texts that stand in the training split, whole.",
           needs=("texts",), panel="memorisation"),
    Metric("copied_ngrams", "near the control", "Share of the runs of four words that occur in the training split.",
           needs=("texts",), panel="memorisation"),
    Metric("c2st_auc", "lower", "How well a network that looks at samples themselves tells generated from real ones; "
           "0.5: not at all.", (1, 0.5), beyond=True, needs=("pixels",), panel="classifiers", headline=True),
    Metric("cas", "higher", "Accuracy on real samples of a classifier that has learnt from generated ones.", (0, 1),
           needs=("labels", "pixels"), panel="classifiers"),
    Metric("cas_real", "higher", "The same of one that has learnt from as many real samples.", (0, 1),
           needs=("labels", "pixels"), panel="classifiers"),
    Metric("cas_gap", "lower", "What a classifier loses by learning from generated samples: cas_real - cas.",
           needs=("labels", "pixels"), panel="classifiers"),
)  # fmt: skip
"""The rows, in the order in which metrics are listed."""

DETAILS = ("_std", "_held_out", "_copied")
"""Endings of figures beside a metric's own: its spread over parts, and what the controls of a sign have."""


def of(name: str) -> Metric | None:
    """Return the row of a figure, or of the figure that it details: the longest name that it is like; None: no row."""
    for ending in DETAILS:
        name = name.removesuffix(ending)
    return max((row for row in METRICS if fnmatchcase(name, row.name)), key=lambda row: len(row.name), default=None)


def partner(name: str, given: Collection[str]) -> str | None:
    """Return the figure of those given without which this one decides nothing; None: it needs none, or has none."""
    row = of(name)
    pairs = (other for other in given if row and row.beside and (found := of(other)) and found.name == row.beside)
    return next(pairs, None)


def decides(name: str, given: Collection[str], blind: Collection[str]) -> bool:
    """Return True where a figure sees, or stands beside one of those given that sees what it cannot."""
    beside = partner(name, given)
    return name not in blind or (beside is not None and beside not in blind)


def names(extractor: str, given: Collection[str]) -> dict[str, Metric]:
    """Return the figures that there are with an extractor: name -> row.

    Args:
        extractor: Its name.
        given: What there is of the `needs` of metrics.
    """
    return {row.name.replace("*", extractor): row for row in METRICS if {*row.needs} <= {*given}}


def headline(figures: Collection[str]) -> tuple[str, ...]:
    """Return the names that belong into the headline, in its order, the Fréchet distance first."""
    return tuple(name for row in METRICS if row.headline for name in figures if of(name) is row)


def added(real: NDArray[Any], generated: NDArray[Any]) -> dict[str, float]:
    """Return the figures of the rows that bring their mathematics: features [N, d] and [M, d] -> name -> figure."""
    return {row.name: row.figure(real, generated) for row in METRICS if row.figure}
