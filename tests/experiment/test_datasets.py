"""Data sets that others made are the samples and labels that they hold."""

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from ganops import GAN
from ganops.core.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), np.uint8)
PICTURES = [Pillow.fromarray(each) for each in PIXELS]
NAMES = ("shoe", "bag", "cat")
NUMBERS = [0, 2, 1] * 4


# The documented interface of datasets.Dataset, as far as it is used: tried with datasets 5.2.0, no dependency.


class Image:
    dtype = "PIL.Image.Image"


class ClassLabel:
    dtype = "int64"

    def __init__(self, names):
        self.names = list(names)


class Value:
    def __init__(self, dtype):
        self.dtype = dtype


class HuggingFace:
    """Columns with features, asked for by name."""

    def __init__(self, features, columns):
        self.features, self._columns = features, columns

    @property
    def column_names(self):
        return list(self.features)

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def __getitem__(self, name):
        return self._columns[name]


def pictures(labels=NUMBERS, feature=None, image=PICTURES):
    features = {"id": Value("int64"), "image": Image(), "label": feature or ClassLabel(NAMES)}
    return HuggingFace(features, {"id": range(12), "image": image, "label": labels})


def learnt(samples, labels=None, **named):
    return GAN(verbose=False, **named)._taking().learn(samples, labels)


def test_pictures_of_hugging_face_bring_the_names_of_their_classes():
    found = learnt(pictures())
    assert np.array_equal(found.stored, PIXELS.transpose(0, 3, 1, 2))
    assert (found.class_names, found.y.tolist()) == (NAMES, NUMBERS)


def test_classes_that_do_not_occur_are_none():
    found = learnt(pictures([0, 2] * 6))
    assert (found.class_names, found.y.tolist()) == (("shoe", "cat"), [0, 1] * 6)


def test_columns_may_hold_arrays_and_tensors_and_labels_without_names():
    for image in (list(PIXELS), [torch.from_numpy(each).permute(2, 0, 1) for each in PIXELS]):
        found = learnt(pictures(torch.tensor(NUMBERS), Value("int64"), image))
        assert np.array_equal(found.stored, PIXELS.transpose(0, 3, 1, 2))
        assert (found.class_names, found.y.tolist()) == (("0", "1", "2"), NUMBERS)


def test_labels_beside_a_data_set_go_before_its_own():
    assert learnt(pictures(), ["a", "b"] * 6).class_names == ("a", "b")


def test_texts_of_hugging_face():
    features = {"label": Value("string"), "text": Value("string")}
    found = learnt(HuggingFace(features, {"label": ["x", "y"] * 3, "text": ["a b", "b a c"] * 3}), kind="text")
    assert (len(found.stored), found.class_names) == (6, ("x", "y"))


class Pairs(Dataset):
    """Map style, as torchvision's are."""

    classes = NAMES

    def __init__(self, labels=NUMBERS):
        self.labels = labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        return PICTURES[i], self.labels[i]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(PICTURES, NUMBERS, strict=True))


def test_pairs_of_torch_with_and_without_names():
    found = learnt(Pairs())
    assert np.array_equal(found.stored, PIXELS.transpose(0, 3, 1, 2))
    assert (found.class_names, found.y.tolist()) == (NAMES, NUMBERS)
    part = learnt(Subset(Pairs(), range(0, 12, 2)))
    assert (part.class_names, part.y.tolist()) == (NAMES, NUMBERS[::2])
    floats = torch.from_numpy(PIXELS / 255).permute(0, 3, 1, 2)
    tensors = learnt(TensorDataset(floats, torch.tensor(NUMBERS)))
    assert np.array_equal(tensors.stored, found.stored)
    assert (tensors.class_names, tensors.y.tolist()) == (("0", "1", "2"), NUMBERS)
    assert learnt(TensorDataset(floats)).y is None
    assert learnt(Pairs(["b", "a"] * 6)).class_names == ("a", "b")


class Halved(Dataset):
    """Another's samples with labels of its own."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, i):
        return self.dataset[i][0], min(self.dataset[i][1], 1)


class Changed(Pairs):
    """Labels that are changed on their way, as by torchvision's `target_transform`."""

    target_transform = abs


@pytest.mark.parametrize("samples", [Halved(Pairs()), Changed([0, 1] * 6)])
def test_labels_that_were_changed_are_not_called_by_names_of_others(samples):
    assert learnt(samples).class_names == ("0", "1")


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ({"train": pictures(), "test": pictures()}, r"mapping of train, test: name one, as fit\(data\['train'\]\)"),
        (Stream(), "expected a data set with a length, whose samples have numbers; got Stream, which is a stream"),
        (HuggingFace({"x": Value("int64")}, {"x": [1]}), r"the columns x \(Value\), none of which is read as images"),
        (pictures([-1] * 12), "labels: expected 12 integers from 0 on, or strings, got .* from -1 on"),
        (pictures([3] * 12), "labels: expected numbers of the 3 classes shoe, bag, cat, got 3"),
        (TensorDataset(*[torch.zeros(4, 3, 16, 16)] * 3), r"expected \(sample, label\) pairs, got tuples of 3"),
    ],
)  # fmt: skip
def test_what_is_no_such_data_set_is_told_in_a_sentence(samples, words):
    with pytest.raises(InputError, match=words):
        learnt(samples)


def test_a_trained_gan_is_asked_with_data_sets_too():
    small = {"train.batch": 8, "model.latent": 8, "model.options": {"width": 4}, "features.extractor": "pixels"}
    gan = GAN(loss="vae", kimg=0.1, verbose=False, params=small).fit(Pairs())
    assert np.array_equal(gan.encode(pictures()), gan.encode(PIXELS, NUMBERS))
    assert np.array_equal(gan.encode(Subset(Pairs(), [0, 1])), gan.encode(PIXELS[:2], NUMBERS[:2]))
    for labels in ([-1, 0] * 6, [5, 1] * 6, [None, 1] * 6):
        with pytest.raises(InputError, match="labels: expected"):
            gan.encode(pictures(labels))
