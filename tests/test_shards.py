"""Pictures in tar files are those of the folder they were packed from."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ambientkit import Context, Engine
from ambientkit.errors import DataError, RecipeError
from ambientkit.testing import check_dataset

ENGINE = Engine(discover=False)
SIZE = Context(image_size=(8, 8))


def built(root: Path, kind: str = "tar_shards", **options):
    return ENGINE.build("dataset", kind, context=SIZE, root=root, **options)


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of pictures, and the same pictures in two shards, beside a label and a link."""
    dice = np.random.default_rng(0)
    folder, packed = tmp_path / "folder", tmp_path / "packed" / "deep"
    for number in range(5):
        file = folder / f"{'ab'[number > 2]}.tar" / "some" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 256, (11, 9 + number, 3), dtype=np.uint8)).save(file)
    packed.mkdir(parents=True)
    for name in ("a.tar", "b.tar"):
        with tarfile.open(packed / name, "w") as archive:
            for file in sorted((folder / name / "some").iterdir()):
                archive.add(file, f"some/{file.name}")
            add(archive, "some/0.txt", b"a label")
            link = tarfile.TarInfo("some/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    return folder, packed.parent


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def test_pictures_are_those_of_the_folder(shards):
    folder, packed = shards
    found, wanted = built(packed), built(folder, "image_folder")
    assert found.keys == [f"deep/{key}" for key in wanted.keys]
    assert torch.equal(found.images(range(5)), wanted.images(range(5)))
    assert torch.equal(found.images([4, 0]), wanted.images([4, 0]))
    check_dataset(found)


def test_members_that_a_folder_would_leave_out_are_left_out(shards):
    _, packed = shards
    before = built(packed).keys
    with tarfile.open(packed / "c.tar", "w") as archive:
        for name in ("._a.png", ".trash/b.png", "__MACOSX/c.png", "deep/__MACOSX/d.png"):
            add(archive, name, b"not a picture")
    for name in ("._a.tar", "__MACOSX/a.tar"):
        (packed / name).parent.mkdir(exist_ok=True)
        (packed / name).write_bytes(b"not a shard")
    assert built(packed).keys == before


def two_members(file: Path) -> tuple[bytes, int]:
    """A shard's bytes, and where the second of its pictures begins."""
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "PNG")
    with tarfile.open(file, "w") as archive:
        add(archive, "a.png", content.getvalue())
        second = archive.offset
        add(archive, "b.png", content.getvalue())
    return file.read_bytes(), second


@pytest.mark.parametrize("harm", ["a byte of a header", "another shard"])
def test_a_shard_that_the_reader_ends_too_early_is_refused(tmp_path, harm):
    whole, second = two_members(tmp_path / "a.tar")
    damaged = whole[:second] + bytes([whole[second] ^ 1]) + whole[second + 1 :]
    (tmp_path / "b.tar").write_bytes(damaged if harm == "a byte of a header" else whole * 2)
    with pytest.raises(DataError, match=r"b\.tar: is cut short or damaged at byte \d+, or another shard"):
        built(tmp_path / "b.tar")


@pytest.mark.parametrize("missing", [1, 100, 511])
def test_a_shard_that_is_cut_within_a_header_is_refused(tmp_path, missing):
    """Python's reader takes it for one with fewer pictures."""
    whole, second = two_members(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(whole[: second + 512 - missing])
    with pytest.raises(
        DataError, match=rf"a\.tar: is cut short or damaged at byte {second}.*; fetch it again"
    ):
        built(tmp_path)
    (tmp_path / "a.tar").write_bytes(whole[:second])
    assert len(built(tmp_path).keys) == 1, "not every writer ends a shard with empty blocks"


def test_one_file_is_a_data_set_and_copies_are_the_same_data(shards, tmp_path):
    _, packed = shards
    one = built(packed / "deep/b.tar")
    assert one.keys == ["b.tar/some/3.png", "b.tar/some/4.png"]
    copy = tmp_path / "b.tar"
    copy.write_bytes((packed / "deep/b.tar").read_bytes())
    assert built(copy).fingerprint == one.fingerprint
    assert built(packed / "deep/a.tar").fingerprint != one.fingerprint
    assert built(copy, crop="none").fingerprint != one.fingerprint


def test_a_broken_member_is_named_or_left_out(shards):
    _, packed = shards
    with tarfile.open(packed / "c.tar", "w") as archive:
        add(archive, "broken.jpg", b"no picture")
    dataset = built(packed)
    with pytest.raises(DataError, match=r"c\.tar/broken\.jpg: cannot be read"):
        dataset.images([dataset.keys.index("c.tar/broken.jpg")])
    kept = built(packed, on_bad_image="skip")
    assert kept.skipped == ["c.tar/broken.jpg"] and len(kept) == 5
    with pytest.raises(DataError, match="none of its 1 pictures"):
        built(packed / "c.tar", on_bad_image="skip")


def test_a_member_that_comes_twice_is_named_with_its_shard(shards):
    folder, packed = shards
    with tarfile.open(packed / "deep/a.tar", "a") as archive:
        archive.add(folder / "b.tar/some/4.png", "some/1.png")
    with pytest.raises(DataError, match=r"deep/a\.tar: holds deep/a\.tar/some/1\.png twice, .*pack it anew"):
        built(packed)


def test_what_holds_no_pictures_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \.tar files"):
        built(tmp_path)
    (tmp_path / "text.tar").write_bytes(b"this is no archive" * 100)
    with pytest.raises(DataError, match=r"text\.tar: cannot be read as an uncompressed tar"):
        built(tmp_path)
    (tmp_path / "text.tar").unlink()
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with pytest.raises(DataError, match="no pictures in its 1 shards"):
        built(tmp_path)


def test_compressed_shards_are_refused(tmp_path, shards):
    folder, _ = shards
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as archive:
        archive.add(folder, "pictures")
    with pytest.raises(DataError, match="uncompressed"):
        built(tmp_path / "packed.tar")


def test_a_recipe_wants_their_size(tiny, shards):
    _, packed = shards
    recipe = tiny()
    recipe["data"] = {"source": {"kind": "tar_shards", "root": str(packed)}}
    with pytest.raises(RecipeError, match=r"set data\.image_size"):
        ENGINE.load(recipe)
