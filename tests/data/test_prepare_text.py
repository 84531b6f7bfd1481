"""Prepared sets of texts: what becomes of them in any packing, and of bad ones."""

import hashlib
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from ganops.core.errors import ConfigError, DataError
from ganops.data import SPLITS, Prepared, prepare
from ganops.data.text_decoder import TextDecoder, words
from ganops.kinds import Spec

WORDS = ["the", "dog", "cat", "barks", "sees", "runs", "a", "home", "well-known", ","]
DECODER = TextDecoder(length=6, words=50)


def sentence(seed):
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, rng.integers(2, 6)))


TEXTS = {f"{sentence(i)} {i % 7}": "ab"[i % 2] for i in range(122)}
"""Text -> label."""


@pytest.fixture
def write(tmp_path):
    """`prepare` into tmp_path/out."""

    def write(source, decoder=DECODER, **options):
        options = {"validation": 0.2, "test": 0.2, **options}
        out = tmp_path / "out"
        return prepare(source, out / "prepared", out / "preview.png", decoder, **options)

    return write


@pytest.fixture
def opened(tmp_path):
    return lambda: Prepared.open(tmp_path / "out" / "prepared")


@pytest.fixture
def tsv(lay):
    return lay({"x.tsv": "".join(f"{label}\t{text}\n" for text, label in TEXTS.items()).encode()}) / "x.tsv"


def test_the_set_holds_every_text_once_with_its_label(tsv, write, opened):
    manifest, prepared = write(tsv), opened()
    facts = manifest["sample"]["facts"]
    assert manifest["sample"] == {"kind": "text", "shape": [6], "dtype": "uint16", "facts": facts}
    assert manifest["source"] == {"name": "x.tsv", "kind": "lines"}
    assert prepared.spec == Spec("text", (6,), 2, facts)
    assert facts["words"][:2] == ["", "<unk>"]
    got = {text: "ab"[label] for split in SPLITS for text, label in
           zip(prepared.spec.shown(prepared.samples(split)).tolist(), prepared.labels(split), strict=True)}  # fmt: skip
    assert got == TEXTS
    assert (prepared.folder / "train" / "texts.npy").is_file()
    counts = [len(prepared.samples(split)) for split in SPLITS]
    assert prepared.summary() == (
        f"{len(TEXTS)} texts (train {counts[0]}, validation {counts[1]}, test {counts[2]}), of up to 6 words, of a "
        f"vocabulary of {len(facts['words'])}, 2 classes, 0 rejected"
    )


def test_splits_are_thresholds_on_the_hash_of_a_texts_own_bytes(tsv, write, opened):
    write(tsv)
    bounds = {"test": (0, 0.2), "validation": (0.2, 0.4), "train": (0.4, 1)}
    for split, (low, high) in bounds.items():
        shown = opened().spec.shown(opened().samples(split)).tolist()
        own = [hashlib.sha256(text.encode()).digest() for text in shown]
        assert own
        assert own == sorted(own)
        assert all(low <= int.from_bytes(digest[:8]) / 2**64 < high for digest in own)


def test_other_texts_of_the_set_move_none(lay, write, opened):
    """Each keeps its split where half of them, and half of the vocabulary, are gone."""

    def splits(texts):
        write(lay({"x.txt": "\n".join(texts).encode()}) / "x.txt")
        return {text: split for split in SPLITS for text in opened().spec.shown(opened().samples(split)).tolist()}

    whole, half = splits(TEXTS), splits([text for text in TEXTS if "dog" not in text])
    assert len(half) < len(whole)
    assert half.items() <= whole.items()


def test_equal_texts_lie_in_one_split_in_whatever_form_they_come(lay, write, opened):
    texts = [*TEXTS, *(f"  {text.replace(' ', '  ')} " for text in TEXTS), *(f"{text} cut away" for text in TEXTS)]
    manifest = write(lay({"x.txt": "\n".join(texts).encode()}) / "x.txt", TextDecoder(length=4))
    seen = {split: set(map(bytes, opened().samples(split))) for split in SPLITS}
    assert not any(seen[one] & seen[other] for one in SPLITS for other in SPLITS if one < other)
    assert manifest["duplicates"] == len(texts) - len({tuple(words(text)[:4]) for text in texts})


def test_the_vocabulary_is_that_of_train_alone(tsv, write, opened):
    facts = write(tsv)["sample"]["facts"]
    train = opened().spec.shown(opened().samples("train")).tolist()
    assert "<unk>" not in " ".join(train)
    assert set(facts["words"][2:]) == set(" ".join(train).split())


def zipped(texts, path):
    with zipfile.ZipFile(path, "w") as archive:
        for label in "ab":
            archive.writestr(f"{label}/x.txt", "\n".join(text for text, own in texts.items() if own == label))
    return path


def rows(texts, path):
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in texts.items()))
    return path


def table(texts, path):
    pq.write_table(pa.table({"sentence": [*texts], "label": [*texts.values()]}), path, row_group_size=7)
    return path


@pytest.mark.parametrize(("pack", "name"), [(zipped, "x.zip"), (rows, "x.jsonl"), (table, "x.parquet")])
def test_every_packing_makes_the_same_set(tsv, write, tmp_path, pack, name):
    expected, got = write(tsv), write(pack(TEXTS, tmp_path / name))
    assert all(got[key] == expected[key] for key in ("sha256", "sample", "classes", "splits"))


def test_bad_lines_are_listed_with_their_reasons_and_empty_ones_are_counted(lay, write):
    bad = {
        b"": None, b" \t ": None, "\u3000".encode(): None,
        b"x" * 10**6: "a line of more than 65,536 characters", b"a\0b": "holds NUL",
        "café".encode("latin-1"): "holds bytes that are no UTF-8", b"\xff\xfe\x00": "holds NUL",
        "ÿ".encode("utf-16-le"): "holds NUL", b"a\x07b": "holds the control character U+0007",
        b"nospace" * 20: "a word of 140 characters", b"e" + "\u0301".encode() * 31: "more than 30 marks",
    }  # fmt: skip
    good = ["שלום a dog", "emoji 👨‍👩‍👧 a dog", "你好 ， a dog", "a dog"]
    content = b"\n".join([*(text.encode() for text in [*TEXTS, *good]), *bad])
    manifest = write(lay({"x.txt": content}) / "x.txt", max_rejected=0.2)
    assert manifest["conversions"] == {"empty: passed over": 3, **only_unknown(manifest)}
    reasons = [reason for reason in bad.values() if reason]
    assert len(manifest["rejected"]) == len(reasons)
    for each in manifest["rejected"]:
        assert each["name"].startswith("x.txt:1")
        assert any(each["reason"].startswith(reason) for reason in reasons)
    assert sum(part["samples"] for part in manifest["splits"].values()) == len(TEXTS) + len(good)


def only_unknown(manifest):
    return {note: count for note, count in manifest["conversions"].items() if note.startswith("unknown")}


def test_words_that_are_not_in_the_vocabulary_are_counted(tsv, write, opened):
    manifest = write(tsv, TextDecoder(length=6, words=9))
    train = opened().samples("train")
    assert manifest["conversions"] == {"unknown words of train": int((train == 1).sum())}
    assert (train == 1).any()


def test_lines_without_a_label_are_rejected_where_others_have_one(tsv, write, opened):
    with open(tsv, "a") as file:
        file.write("a dog without a label\n")
    assert len(TEXTS) == 120
    with pytest.raises(
        DataError, match=r"x\.tsv:121 +no label, where others have one \(data\.labels: none takes all\)"
    ):
        write(tsv, max_rejected=0)
    assert len(write(tsv)["rejected"]) == 1
    assert write(tsv, labels="none")["classes"] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no texts"),
        (b"\n\n \n", "holds no texts"),
        (b"one\ntwo\nthree four", "too few samples"),
        ("\n".join(chr(0x4E00 + i) * 4 for i in range(80)).encode(), r"would be unknown.* data\.by: characters"),
        (b"\n".join(b"ho " * i for i in range(1, 80)), "all texts consist of one of the words, 'ho'"),
        ("čau\n".encode("iso8859-2") * 80, r"80 of 80 texts were rejected"),
    ],
)
def test_sets_that_cannot_be_learnt_are_refused_in_words(lay, write, content, words):
    with pytest.raises(DataError, match=words):
        write(lay({"x.txt": content}) / "x.txt", TextDecoder(length=99))


def test_files_are_groups_and_their_names_labels(lay, write, opened):
    files = {f"{'ab'[i % 2]}{i}.txt": "\n".join(list(TEXTS)[i::20]).encode() for i in range(20)}
    manifest = write(lay(files), labels="^([ab])", group="(.*)", validation=0.2, test=0.2)
    assert manifest["classes"] == ["a", "b"]
    groups = [set(manifest["splits"][split]["group_samples"]) for split in SPLITS]
    assert sorted(name for group in groups for name in group) == sorted(name.removesuffix(".txt") for name in files)
    with pytest.raises(DataError, match=r"data\.labels: '\^x\(\.\)' matches none of 120 names"):
        write(lay(files), labels="^x(.)")


def test_what_is_seen_and_read_of_the_set(tsv, write, tmp_path, opened):
    write(tsv)
    with Image.open(tmp_path / "out" / "preview.png") as picture:
        assert picture.mode == "L"
    shown = (tmp_path / "out" / "preview.txt").read_text().splitlines()
    assert len(shown) == 16
    assert [TEXTS[text] for text in shown] == ["a"] * 8 + ["b"] * 8


def test_images_leave_no_texts_of_a_former_set(tsv, write, run, lay, pictures, tmp_path):
    write(tsv)
    run(lay(pictures, "images"))
    assert not (tmp_path / "out" / "preview.txt").exists()


def test_an_oracle_gives_its_vocabulary(lay, write, opened):
    rng = np.random.default_rng(0)
    texts = rng.integers(0, 7, (60, 4))
    content = "".join(" ".join(f"w{word}" for word in text) + "\n" for text in texts)
    folder = lay({"oracle.json": b'{"words": 9, "length": 4}', "texts.txt": content.encode()}, "oracle")
    manifest = write(folder, TextDecoder(length=4, words=9))
    assert manifest["sample"]["facts"] == {"words": [f"w{i}" for i in range(9)], "by": "words"}
    assert manifest["source"]["kind"] == "oracle"
    got = np.concatenate([opened().samples(split) for split in SPLITS])
    assert sorted(got.tolist()) == sorted(texts.tolist())
    assert ", of 4 words, of a vocabulary of 9, no labels" in opened().summary()
    with pytest.raises(ConfigError, match=r"data\.length: expected 4 for the texts of this oracle, got 6"):
        write(folder)


def test_folders_of_other_files_hold_no_texts(lay, write, pictures):
    with pytest.raises(DataError, match="holds no texts, only 40 files of other kinds"):
        write(lay(pictures))
