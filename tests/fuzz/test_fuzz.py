"""Some seconds of `make fuzz`."""

import pytest
from fuzz import fuzz
from targets import TARGETS


@pytest.fixture(scope="module")
def found():
    return fuzz([*TARGETS], seed=0, seconds=12 / len(TARGETS), least=25)


@pytest.mark.parametrize("name", TARGETS)
def test_what_strangers_send_is_taken_or_refused_in_words(name, found):
    assert not found[name]["finding"], found[name]["finding"]
    assert found[name]["cases"] >= 25


def test_a_defect_is_found(tmp_path, monkeypatch):
    """Fails where the harness would pass over a traceback, a file outside, or memory without a bound."""
    import fuzz as harness

    for defect, words in {
        "raise ValueError('boom')": "boom",
        "open('/tmp/ganops-fuzz-outside', 'w')": "Outside: open",
        "bytearray(1200 << 20)": "are allowed",
        "os._exit(3)": "died with 3",
    }.items():
        script = tmp_path / "targets.py"
        script.write_text(
            "import os\nfrom types import SimpleNamespace\nfrom hypothesis import strategies as st\n"
            "REFUSALS = (KeyError,)\n"
            f"def check(case):\n    if case > 3:\n        {defect}\n    raise KeyError('said')\n"
            "TARGETS = {'one': lambda folder: SimpleNamespace(cases=st.integers(0, 9), check=check)}\n"
        )
        harness_copy = tmp_path / "fuzz.py"
        harness_copy.write_text((harness.HERE / "fuzz.py").read_text())
        monkeypatch.setattr(harness, "HERE", tmp_path)
        found = harness.fuzz(["one"], seed=1, seconds=5)["one"]
        assert words in found["finding"], (defect, found)
