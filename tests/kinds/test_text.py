import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from ganops.kinds import KINDS, Spec, text

WORDS = ["", "<unk>", "the", "dog", "barks", ",", "שלום", "👨‍👩‍👧", "incomprehensibilities"]
FACTS = {"words": WORDS, "by": "words"}
ORACLE = {"words": [f"w{i}" for i in range(9)], "by": "words"}
LETTERS = {"words": ["", "<unk>", *"ab é"], "by": "characters"}


def texts(count=50, length=6, facts=FACTS, seed=0):
    """Numbers of words; where the language has an end, there is nothing behind it."""
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, len(facts["words"]), (count, length)).astype(np.uint16)
    if facts["words"][0] == "":
        stored[np.cumsum(stored == 0, 1) > 0] = 0
    return stored


def test_it_is_a_kind():
    assert KINDS["text"] is text
    spec = Spec("text", (6,), 2, FACTS)
    assert (spec.inputs, spec.unit, spec.noun, spec.joined_format) == ((6, 9), "text", "text", "txt")
    assert spec.described == "texts of up to 6 words, of a vocabulary of 9"
    assert Spec("text", (6,), 0, ORACLE).described == "texts of 6 words, of a vocabulary of 9"
    assert spec.summary() == "6x9, 2 classes"


@pytest.mark.parametrize("facts", [FACTS, ORACLE, LETTERS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_text_comes_back(facts, dtype):
    stored = texts(facts=facts)
    x = text.floats(torch.from_numpy(stored), facts, dtype)
    assert (x.shape, x.dtype) == ((50, 6, len(facts["words"])), dtype)
    assert torch.equal(x.sum(-1), torch.ones(50, 6, dtype=dtype))
    again = text.stored(x, facts)
    assert again.dtype == torch.uint16
    assert np.array_equal(again.numpy(), stored)


def test_the_end_ends_a_text_where_the_language_has_one():
    x = torch.eye(9)[torch.tensor([[3, 0, 4, 0, 2, 2]])]
    assert text.stored(x, FACTS).tolist() == [[3, 0, 0, 0, 0, 0]]
    assert text.stored(x, ORACLE).tolist() == [[3, 0, 4, 0, 2, 2]]


def test_texts_are_shown_with_single_spaces_or_none():
    stored = np.array([[2, 3, 4, 5, 6, 7], [1, 0, 0, 0, 0, 0], [0] * 6], np.uint16)
    assert text.shown(stored, FACTS).tolist() == ["the dog barks , שלום 👨‍👩‍👧", "<unk>", ""]
    assert text.shown(stored[:, :2], ORACLE).tolist() == ["w2 w3", "w1 w0", "w0 w0"]
    assert text.shown(np.array([[2, 4, 3, 5]], np.uint16), LETTERS).tolist() == ["a bé"]


@pytest.mark.parametrize("facts", [FACTS, ORACLE, LETTERS])
def test_a_text_is_the_same_alone_and_in_any_batch_and_order(facts):
    stored = texts(facts=facts)
    order = [7, 3, 3, 49]
    together, stills = text.shown(stored[order], facts), text.look(stored[order], facts)
    for row, shown, still in zip(order, together, stills, strict=True):
        alone = text.shown(stored[[row]], facts)
        assert alone[0] == shown
        assert alone.dtype == together.dtype
        assert np.array_equal(text.look(stored[[row]], facts)[0], still)
    assert text.shown(stored[:0], facts).dtype == together.dtype


def test_the_longest_text_fits():
    longest = np.full((1, 6), 8, np.uint16)
    assert text.shown(longest, FACTS).tolist() == [" ".join([WORDS[8]] * 6)]


def test_stills_show_more_of_more_words():
    stored = np.array([[0] * 6, [3] + [0] * 5, [3] * 6], np.uint16)
    stills = text.look(stored, FACTS)
    assert (stills.dtype, stills.shape[:2]) == (np.uint8, (3, 1))
    dark = (stills < 128).sum((1, 2, 3))
    assert 0 == dark[0] < dark[1] < dark[2]
    assert text.look(texts(length=40), FACTS).shape[2] > stills.shape[2]


def test_files_hold_a_text_a_line():
    shown = text.shown(np.array([[3, 4, 0], [6, 0, 0]], np.uint16), FACTS)
    assert text.file(shown[0], FACTS) == (".txt", "text/plain; charset=utf-8", b"dog barks\n")
    assert text.joined(shown, FACTS) == (".txt", "text/plain; charset=utf-8", "dog barks\nשלום\n".encode())
    assert text.joined(shown[:0], FACTS)[2] == b""


def test_runtimes_may_differ_in_a_few_texts():
    stored = texts(1000)
    other = stored.copy()
    other[:5, 0] = (other[:5, 0] + 1) % 9
    assert text.agree(stored, stored) is None
    assert text.agree(stored, other) is None
    other[5, 0] = (other[5, 0] + 1) % 9
    assert text.agree(stored, other) == "6 of 1000 texts, more than the 0.5% of rounding"
    assert text.agree(stored[:0], stored[:0]) is None


ALONE = """
import importlib.util, json, sys
for name in ("ganops", "torch", "PIL", "scipy"):
    sys.modules[name] = None
import numpy as np
spec = importlib.util.spec_from_file_location("kind", sys.argv[1])
kind = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kind)
facts, stored = json.loads(sys.argv[2]), np.load(sys.argv[3], allow_pickle=False)
shown = kind.shown(stored, facts)
assert kind.agree(stored, stored) is None
assert kind.file(shown[0], facts)[2].decode() == f"{shown[0]}\\n"
sys.stdout.buffer.write(kind.joined(shown, facts)[2])
"""


def test_a_copy_of_the_file_gives_the_same_texts_with_numpy_alone(tmp_path):
    np.save(tmp_path / "stored.npy", texts())
    command = [sys.executable, "-I", "-c", ALONE, text.__file__, json.dumps(FACTS), str(tmp_path / "stored.npy")]
    said = subprocess.run(command, capture_output=True, check=True).stdout
    assert said.decode().split("\n")[:-1] == text.shown(texts(), FACTS).tolist()
