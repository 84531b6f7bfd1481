"""Folders of images: classes, and what is not an image."""

import os

import pytest

from ganops.core.errors import DataError
from ganops.data.sources import folder, item, read_source
from ganops.data.sources.item import ItemError


def test_what_is_no_image_is_ignored_and_hidden_files_are_passed_over(lay, encode, noise):
    image = encode(noise(0))
    found = folder.read(
        lay(
            {
                "a/1.PNG": image,
                "b/2.jpeg": image,
                "a/Thumbs.db": b"",
                "README.txt": b"",
                "a/.DS_Store": b"",
                ".hidden/3.png": image,
                "__MACOSX/a/._1.png": b"",
            }
        )
    )
    assert [(item.name, item.label) for item in found.items] == [("a/1.PNG", "a"), ("b/2.jpeg", "b")]
    assert found.ignored == ("README.txt", "a/Thumbs.db")


def test_links_are_followed_but_not_in_circles(lay, encode, noise, tmp_path):
    source = lay({"a/1.png": encode(noise(0))})
    other = lay({"2.png": encode(noise(1))}, "elsewhere")
    (source / "b").symlink_to(other)
    (other / "back").symlink_to(source)
    (source / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    items = {item.name: item.content for item in folder.read(source).items}
    assert set(items) == {"a/1.png", "a/gone.png", "b/2.png", "b/back"}
    assert "link to a folder that contains it" in str(items["b/back"])
    assert isinstance(items["a/gone.png"], ItemError)


def test_links_that_double_with_every_folder_are_followed_once(lay, encode, noise):
    source = lay({f"f{i:02}/1.png": encode(noise(0)) for i in range(30)})
    for i in range(29):
        for link in ("x", "y"):
            (source / f"f{i:02}" / link).symlink_to(source / f"f{i + 1:02}")
    items = list(folder.read(source).items)  # 2^29 at f00/x/x/x/...
    assert len(items) < 2000
    assert any("a link, below another one, to a folder that is read already" in str(each.content) for each in items)


def test_more_files_than_a_set_can_have_are_refused(lay, monkeypatch):
    monkeypatch.setattr(item, "ROW_LIMIT", 2)
    with pytest.raises(DataError, match="holds 3 samples or more; at most 2 are read"):
        folder.read(lay({f"{i}.txt": b"" for i in range(3)}))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_or_folder_is_listed(lay, encode, noise, run):
    source = lay({f"{i}.png": encode(noise(i)) for i in range(40)} | {"locked/1.png": b""})
    (source / "0.png").chmod(0)
    (source / "locked").chmod(0)
    manifest = run(source, max_rejected=0.1)
    (source / "locked").chmod(0o700)
    assert {rejection["name"] for rejection in manifest["rejected"]} == {"0.png", "locked"}


def test_a_folder_that_cannot_be_listed_is_rejected(lay, encode, noise, monkeypatch):
    source = lay({"a/1.png": encode(noise(0)), "locked/2.png": encode(noise(1))})
    listdir = os.listdir

    def refuse(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)
    items = {item.name: str(item.content) for item in folder.read(source).items}
    assert items["locked"] == "a folder that cannot be read: Permission denied"


def test_names_that_are_not_utf8_reach_the_manifest_escaped(lay, encode, noise, run):
    source = lay({f"{i}.png": encode(noise(i)) for i in range(30)})
    with open(os.fsencode(source) + b"/\xff.png", "wb"):
        pass
    assert run(source, max_rejected=0.1)["rejected"] == [{"name": "\\udcff.png", "reason": "empty, 0 bytes"}]


def test_ignored_names_that_are_not_utf8_reach_the_manifest_escaped(lay, encode, noise, run):
    source = lay({f"{i}.png": encode(noise(i)) for i in range(30)})
    with open(os.fsencode(source) + b"/\xff.txt", "wb"):
        pass
    assert run(source)["ignored"] == ["\\udcff.txt"]


@pytest.mark.parametrize("files", [{}, {"README.txt": b"hello"}])
def test_a_folder_without_images_is_an_error(lay, run, files):
    source = lay({"only/.keep": b"", **files})
    with pytest.raises(DataError, match=f"holds no images, only {len(files)} files of other kinds"):
        run(source)


def test_a_folder_is_the_last_guess(lay):
    assert read_source(lay({"a.txt": b""})).kind == "folder"
