"""Orders in bodies and addresses: whatever a client writes is an order, or is refused in words."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from ganops.serving.limits import Refused
from ganops.serving.orders import ASKED, FORMATS, MEDIA, Order, of_address, preferred

WORDS = ["0", "-1", "7", "boot", "3", "1.5", ".5", "1e3", "nan", "", "9" * 40, "png", "\u0661\u0662", "\x00"]
PAIRS = st.lists(st.tuples(st.sampled_from([*ASKED, "seeds", "x"]), st.sampled_from(WORDS) | st.text()), max_size=6)


def answered(call, *arguments, **named):
    """What is returned, or the refusal."""
    try:
        return call(*arguments, **named)
    except Refused as refused:
        return refused


@settings(max_examples=300, deadline=None)
@given(PAIRS)
def test_every_address_is_an_order_or_is_refused_in_a_short_sentence(pairs):
    found = answered(of_address, QueryParams(pairs), 64, FORMATS)
    if isinstance(found, Refused):
        assert (found.status, 0 < len(str(found)) < 1000) == (400, True)
    else:
        assert 1 <= len(found.seeds) <= 64
        assert found.labels is None or len(found.labels) in (1, len(found.seeds))
        assert found == Order.model_validate_json(found.model_dump_json())


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("*/;,q=01. imagepngaplctosj"), max_size=40))
def test_every_accept_prefers_a_format_or_none(accept):
    found = answered(preferred, accept, FORMATS)
    assert found in FORMATS or found.status == 406


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_had_by_its_media_type(name):
    assert preferred(MEDIA[name], FORMATS) == name
    assert preferred(f"text/html;q=0.9, {MEDIA[name]};q=0.2", FORMATS) == name
