"""Protocols."""

import dataclasses

import pytest

from ganops.core.errors import FeatureError
from ganops.metrics.protocol import Protocol, require_equal

ONE = Protocol("domain", "ab", False, "test", 1018, 10000, "none", "uint8", 0)


def test_names_are_those_of_the_field():
    fid = dataclasses.replace(ONE, extractor="inception", published=True, split="train", generated=50000)
    assert fid.name == "fid50k_train"
    assert ONE.name == "fd_domain10k_test"
    assert dataclasses.replace(ONE, generated=300).name == "fd_domain300_test"


def test_every_part_of_a_protocol_must_agree():
    one = dataclasses.replace(ONE, texts={"copied_ngrams": 4}, films={"range": "known"}).content()
    require_equal(one, one)
    for field in dataclasses.fields(ONE):
        other = one | {field.name: "something else"}
        with pytest.raises(FeatureError, match=f"two protocols cannot be compared: {field.name} "):
            require_equal(one, other)
        with pytest.raises(FeatureError, match=field.name):
            require_equal(one, {k: v for k, v in one.items() if k != field.name})


def test_protocols_of_other_kinds_know_nothing_of_texts_and_films():
    assert not {"texts", "films"} & ONE.content().keys()
