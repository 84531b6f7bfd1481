"""Files with a text a line: what is read of each form, and the reasons for what is not."""

import json
import tarfile
import tracemalloc
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ganops.core import oracle
from ganops.core.errors import DataError
from ganops.data.sources import lines, read_source
from ganops.data.sources.item import ItemError
from ganops.data.sources.lines import LINE_LIMIT, TEXTS


def read(path):
    """Name, label and text, or the reason, of each item."""
    items = read_source(path, TEXTS).items
    return [(i.name, i.label, str(i.content)) for i in items]


def test_lines_of_a_file_are_named_by_their_numbers(lay):
    folder = lay({"a.txt": b"one\n\n two \r\nthree"})
    assert read(folder / "a.txt") == [
        ("a.txt:1", None, "one"), ("a.txt:2", None, ""), ("a.txt:3", None, " two "), ("a.txt:4", None, "three"),
    ]  # fmt: skip
    assert read_source(folder / "a.txt", TEXTS).count is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_unicode_is_read_in_any_form_that_says_which_it_is(lay, encoding, end):
    marks = {"utf-16-le": "\ufeff", "utf-16-be": "\ufeff"}
    content = (marks.get(encoding, "") + end.join(["čaj", "שלום", "👍"])).encode(encoding)
    assert [text for _, _, text in read(lay({"a.txt": content}) / "a.txt")] == ["čaj", "שלום", "👍"]


def test_a_line_that_is_no_utf8_is_marked_and_its_neighbours_are_not(lay):
    content = "café\n".encode() + "café\n".encode("latin-1") + b"\xff\xfe\n" + "café".encode()
    assert [text for _, _, text in read(lay({"a.txt": content}) / "a.txt")] == [
        "café",
        "caf\ufffd",
        "\ufffd\ufffd",
        "café",
    ]


def test_labels_of_a_tsv(lay):
    content = b"noun\ta dog\n\tno label\nalone\na\tb\tc\n verb \t to bark\n\n"
    assert read(lay({"a.tsv": content}) / "a.tsv") == [
        ("a.tsv:1", "noun", "a dog"), ("a.tsv:2", None, "no label"), ("a.tsv:3", None, "alone"),
        ("a.tsv:4", None, "expected a label, a tab and a text, got 3 columns"), ("a.tsv:5", "verb", " to bark"),
        ("a.tsv:6", None, ""),
    ]  # fmt: skip


NO_JSON = 'no JSON: expected an object with "text" and perhaps "label" in each line'


@pytest.mark.parametrize(
    ("line", "label", "text"),
    [
        ('{"text": "a", "label": "x"}', "x", "a"),
        ('{"label": 3, "text": "a\\nb", "more": []}', "3", "a\nb"),
        ('{"text": "a", "label": null}', None, "a"),
        ('{"text": "a", "label": " "}', None, "a"),
        ('{"text": ""}', None, ""),
        ("", None, ""),
        ('{"text": "a", "label": true}', None, 'expected a string or an integer as "label"'),
        ('{"text": "a", "label": [1]}', None, 'expected a string or an integer as "label"'),
        ('{"text": 3}', None, 'expected a JSON object whose "text" is a string'),
        ('{"sentence": "a"}', None, 'expected a JSON object whose "text" is a string'),
        ('["a"]', None, 'expected a JSON object whose "text" is a string'),
        ('{"text": "a"', None, NO_JSON),
        ("[" * 60_000, None, NO_JSON),
        ('{"text": "a", "label": %s}' % ("9" * 5000), None, NO_JSON),
        ('{"text": "a", "label": "%s"}' % ("x" * 1001), None, "a label of 1,001 characters; at most 1,000 are read"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a.jsonl", "a.NDJSON"])
def test_json_lines(lay, name, line, label, text):
    assert read(lay({name: line.encode() + b"\n"}) / name) == [(f"{name}:1", label, text)]


def test_a_line_of_a_megabyte_is_passed_in_little_memory(lay):
    path = (
        lay({"a.txt": b"one\n" + b"x" * 10**7 + b"\ntwo\n" + b"y" * LINE_LIMIT + b"\n" + b"z" * (LINE_LIMIT + 1)})
        / "a.txt"
    )
    tracemalloc.start()
    found = read(path)
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
    reason = "a line of more than 65,536 characters, which are the most that are read"
    assert [text for _, _, text in found] == ["one", reason, "two", "y" * LINE_LIMIT, reason]
    assert found[2][0] == "a.txt:3"


FILES = {
    "noun/a.txt": b"dog\ncat",
    "verb/deep/b.tsv": b"own\tto bark\nto mew",
    "verb/c.jsonl": json.dumps({"text": "run"}).encode(),
    "cover.png": b"x",
    ".hidden.txt": b"x",
}
FOUND = [
    ("noun/a.txt:1", "noun", "dog"), ("noun/a.txt:2", "noun", "cat"), ("verb/c.jsonl:1", "verb", "run"),
    ("verb/deep/b.tsv:1", "own", "to bark"), ("verb/deep/b.tsv:2", "verb", "to mew"),
]  # fmt: skip


def test_sub_folders_are_labels_where_lines_state_none(lay):
    folder = lay(FILES)
    assert sorted(read(folder)) == FOUND
    source = read_source(folder, TEXTS)
    assert (source.kind, source.count, source.ignored, source.raw) == ("folder", None, ("cover.png",), True)


def test_archives_hold_the_same(lay, tmp_path):
    folder = lay(FILES)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed, tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        for name in FILES:
            packed.write(folder / name, name)
            tar.add(folder / name, name)
    assert sorted(read(tmp_path / "x.zip")) == sorted(read(tmp_path / "x.tar.gz")) == FOUND


def test_storage_holds_the_same(lay):
    assert sorted(read_uri(lay(FILES).as_uri())) == FOUND


def read_uri(uri):
    from ganops.data.sources import locate

    return read(locate(uri))


def test_a_file_that_cannot_be_read_is_an_item_with_its_reason(lay):
    folder = lay({"a.txt": b"one", "b.txt": b""})
    source = read_source(folder, TEXTS)
    (folder / "a.txt").unlink()
    assert [(i.name, str(i.content)) for i in source.items] == [("a.txt", "cannot be read: No such file or directory")]


@pytest.mark.parametrize("column", ["text", "sentence", "content", "essay"])
def test_parquet(tmp_path, column):
    rows = {"id": [1, 2, 3, 4], column: ["one", None, "", "שלום"], "label": ["a", "b", "a", "b"]}
    pq.write_table(pa.table(rows), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet") == [
        ("x.parquet[0]", "a", "one"), ("x.parquet[1]", "b", "no text in this row"), ("x.parquet[2]", "a", ""),
        ("x.parquet[3]", "b", "שלום"),
    ]  # fmt: skip
    source = read_source(tmp_path / "x.parquet", TEXTS)
    assert (source.count, source.raw) == (4, True)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_strings_of_parquet_that_are_no_utf8_are_marked(tmp_path, kind):
    values = pa.array([b"ok", b"caf\xe9"]).cast(pa.large_binary())
    texts = values.view(pa.large_string())
    texts = texts.dictionary_encode() if pa.types.is_dictionary(kind) else texts.cast(kind)
    pq.write_table(pa.table({"text": texts}), tmp_path / "x.parquet")
    assert [text for _, _, text in read(tmp_path / "x.parquet")] == ["ok", "caf\ufffd"]


def test_a_column_named_text_wins_and_two_others_are_refused(tmp_path):
    pq.write_table(pa.table({"title": ["t"], "text": ["x"], "content": ["c"]}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet") == [("x.parquet[0]", None, "x")]
    pq.write_table(pa.table({"title": ["t"], "essay": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"expected one column of texts \(strings\), or one of them named `text`; got"):
        read(tmp_path / "x.parquet")


def test_an_oracle_states_its_words_and_its_length(lay):
    about = {"words": 3, "length": 2}
    folder = lay({"oracle.json": json.dumps(about).encode(), "texts.txt": b"w0 w1\nw2 w0\n"})
    source = read_source(folder, TEXTS)
    assert (source.kind, source.stated) == ("oracle", {"oracle": lines.Language(("w0", "w1", "w2"), 2)})
    assert [i.content for i in source.items] == ["w0 w1", "w2 w0"]
    assert oracle.DESCRIPTION == lines.ORACLE


@pytest.mark.parametrize("about", [{}, {"words": 3}, {"words": "3", "length": 2}, {"words": 1, "length": 2},
                                   {"words": 3, "length": 0}, {"words": 10**9, "length": 2}])  # fmt: skip
def test_an_oracle_without_sizes_is_refused(lay, about):
    with pytest.raises(DataError, match=r"oracle\.json: expected words, from 2 to 65,536, and length, from 1 to 1,024"):
        read(lay({"oracle.json": json.dumps(about).encode(), "texts.txt": b"w0"}))


def test_an_oracle_without_texts_has_none(lay):
    assert read(lay({"oracle.json": b'{"words": 3, "length": 2}'}))[0][2] == "cannot be read: No such file or directory"


def test_texts_are_no_images(lay):
    folder = lay({"a.txt": b"one"})
    with pytest.raises(DataError, match=r"a\.txt holds texts, not images: such files are of data\.kind: text"):
        read_source(folder / "a.txt")


def test_more_lines_than_a_set_can_have_are_refused(lay, monkeypatch):
    from ganops.data.sources import item

    monkeypatch.setattr(item, "ROW_LIMIT", 3)
    with pytest.raises(DataError, match=r"a\.txt holds 4 samples or more; at most 3 are read"):
        read(lay({"a.txt": b"1\n2\n3\n4\n"}) / "a.txt")


def test_reasons_are_errors_of_items(lay):
    (found,) = read_source(lay({"a.jsonl": b"{"}), TEXTS).items
    assert isinstance(found.content, ItemError)
