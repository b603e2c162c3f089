"""Pictures in tables of Hugging Face's library are those of the folder they were packed from."""

from __future__ import annotations

import os
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from ambientkit_plugins.folders.pictures import Framing
from ambientkit_plugins.hugging_face import tables
from ambientkit_plugins.hugging_face.dataset import HubPictures
from PIL import Image

from ambientkit import Context, Engine
from ambientkit.errors import DataError, RecipeError
from ambientkit.testing import check_dataset

datasets = pytest.importorskip("datasets", reason="needs the extra `hub`: pip install 'ambientkit[hub]'")
ENGINE = Engine(discover=False)
SIZE = Context(image_size=(8, 8))
NUMBER = 5


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing is left in the user's own cache, and no hub is asked."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of several sizes."""
    dice = np.random.default_rng(0)
    (tmp_path / "folder").mkdir()
    for number in range(NUMBER):
        pixels = dice.integers(0, 256, (11, 9 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "folder" / f"{number}.png")
    return tmp_path / "folder"


def table(folder: Path, *more: bytes):
    """The folder's pictures as a table, beside a label; `more` are other files' bytes."""
    contents = [file.read_bytes() for file in sorted(folder.iterdir())] + list(more)
    rows = {"image": [{"bytes": content, "path": None} for content in contents]}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({**rows, "label": list(range(len(contents)))}, features=features)


def built(path: Path, **options):
    return ENGINE.build("dataset", "hugging_face", context=SIZE, path=str(path), **options)


def of_folder(folder: Path):
    return ENGINE.build("dataset", "image_folder", context=SIZE, root=folder)


def as_saved(folder: Path, place: Path) -> Path:
    table(folder).save_to_disk(place)
    return place


def as_splits(folder: Path, place: Path) -> Path:
    datasets.DatasetDict({"train": table(folder), "test": table(folder)}).save_to_disk(place)
    return place


def as_parquet(folder: Path, place: Path) -> Path:
    place.mkdir()
    table(folder).to_parquet(place / "train-00000-of-00001.parquet")
    return place


def as_pictures(folder: Path, place: Path) -> Path:
    return folder


@pytest.mark.parametrize("packed", [as_saved, as_splits, as_parquet, as_pictures])
def test_pictures_are_those_of_the_folder(packed, folder, tmp_path):
    found, wanted = built(packed(folder, tmp_path / "packed")), of_folder(folder)
    assert torch.equal(found.images(range(NUMBER)), wanted.images(range(NUMBER)))
    assert torch.equal(found.images([4, 0]), wanted.images([4, 0]))
    assert len(set(found.keys)) == NUMBER
    check_dataset(found)


@pytest.mark.parametrize("packed", [as_splits, as_parquet])
def test_a_slice_is_a_split(packed, folder, tmp_path):
    found = built(packed(folder, tmp_path / "packed"), split="train[1:3]")
    assert torch.equal(found.images(range(2)), of_folder(folder).images([1, 2])) and len(found) == 2
    whole = built(tmp_path / "packed")
    assert found.keys == whole.keys[1:3], "a picture has one name, whatever is asked for beside it"
    assert built(tmp_path / "packed", split="train[:1]+train[80%:]").keys == [whole.keys[0], whole.keys[4]]


def test_a_table_that_knows_its_split_is_no_other(folder, tmp_path):
    test = table(folder)
    test._split = datasets.NamedSplit("test")
    test.save_to_disk(tmp_path / "packed")
    assert built(tmp_path / "packed", split="test").keys[0] == "test/000000000"
    with pytest.raises(DataError, match=r"split 'train' is not there .*; there are test"):
        built(tmp_path / "packed")


def test_every_picture_tells_data_apart(folder, tmp_path):
    """Of many rows a few are read in whole; of the others, their sizes are."""
    many = datasets.concatenate_datasets([table(folder)] * 40)
    many.save_to_disk(tmp_path / "one")
    rows = many.cast_column("image", datasets.Image(decode=False)).to_list()
    rows[101]["image"]["bytes"] += b"more"
    datasets.Dataset.from_list(rows, features=many.features).save_to_disk(tmp_path / "other")
    assert built(tmp_path / "one").fingerprint != built(tmp_path / "other").fingerprint


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_files_that_a_table_names_are_plain_files(folder, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    paths = [str(folder / "0.png"), str(tmp_path / "gone.png"), str(tmp_path / "pipe.png")]
    rows = {"image": [{"bytes": None, "path": path} for path in paths]}
    features = datasets.Features({"image": datasets.Image(decode=False)})
    table, places = datasets.Dataset.from_dict(rows, features=features), [("train", row) for row in range(3)]
    of_table = partial(HubPictures, {"train": table}, places, "image", Framing(size=(8, 8)))
    for row, said in ((1, "gone.png: there is no such file"), (2, "pipe.png")):
        with pytest.raises(DataError, match=said):
            of_table().images([row])
    assert of_table(skip=True).keys == ["train/000000000"]


def test_copies_are_the_same_data_and_others_are_not(folder, tmp_path):
    one = built(as_parquet(folder, tmp_path / "one"))
    assert built(as_parquet(folder, tmp_path / "other")).fingerprint == one.fingerprint
    assert built(tmp_path / "one", crop="none").fingerprint != one.fingerprint
    assert built(tmp_path / "one", split="train[:4]").fingerprint != one.fingerprint
    Image.new("RGB", (9, 11)).save(folder / "0.png")
    assert built(as_parquet(folder, tmp_path / "third")).fingerprint != one.fingerprint


def test_a_broken_row_is_named_or_left_out(folder, tmp_path):
    table(folder, b"no picture").save_to_disk(tmp_path / "packed")
    with pytest.raises(DataError, match=r"train/000000005: cannot be read as a picture"):
        built(tmp_path / "packed").images([5])
    kept = built(tmp_path / "packed", on_bad_image="skip")
    assert kept.skipped == ["train/000000005"] and len(kept) == NUMBER


def test_none_is_left(folder, tmp_path):
    table(folder, b"no picture").select([NUMBER]).save_to_disk(tmp_path / "packed")
    with pytest.raises(DataError, match="none of the 1 pictures"):
        built(tmp_path / "packed", on_bad_image="skip")


def test_a_row_without_a_picture_is_named(folder, tmp_path):
    rows = {"image": [None, {"bytes": (folder / "0.png").read_bytes(), "path": None}]}
    features = datasets.Features({"image": datasets.Image()})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "packed")
    kept = built(tmp_path / "packed", on_bad_image="skip")
    assert kept.skipped == ["train/000000000"]


@pytest.mark.parametrize(
    ("packed", "options", "said"),
    [
        (as_splits, {"split": "validation"}, "split 'validation' is not there .*; there are train, test"),
        (as_saved, {"split": "test"}, "split 'test' is not there .*; there are train"),
        (as_splits, {"split": "train["}, "split 'train.' is not there"),
        (as_splits, {"split": "train[5:5]"}, "has no rows"),
        (as_saved, {"column": "label"}, "column 'label' holds no pictures; columns with pictures: image"),
        (as_parquet, {"config": "other"}, "cannot be opened as a data set"),
        (as_parquet, {"split": "validation"}, "there are train"),
        (as_parquet, {"revision": "main"}, "is a folder here, which has no revisions; remove `revision`"),
        (as_saved, {"revision": "main"}, "is a folder here, which has no revisions; remove `revision`"),
        (as_saved, {"config": "other"}, "keeps one configuration; remove `config`"),
        (as_splits, {"config": "other"}, "keeps one configuration; remove `config`"),
    ],
)
def test_what_is_not_there_is_refused(packed, options, said, folder, tmp_path):
    place = packed(folder, tmp_path / "packed")
    with pytest.raises(DataError, match=said):
        built(place, **options)


def test_no_column_of_pictures(tmp_path):
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "packed")
    with pytest.raises(DataError, match="no column holds pictures"):
        built(tmp_path / "packed")


def test_a_name_that_only_the_hub_knows(tmp_path):
    with pytest.raises(DataError, match="someone/faces: there is no such folder here, and the hub"):
        built(Path("someone/faces"))


def test_code_beside_the_data_is_not_run(folder, tmp_path):
    place, marker = tmp_path / "packed", tmp_path / "marker"
    place.mkdir()
    (place / "packed.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    with pytest.raises(DataError, match="cannot be opened"):
        built(place)
    assert not marker.exists()


@pytest.mark.parametrize("found", [None, "2.14.7"])
def test_the_library_is_named_where_it_is_missing_or_runs_code(folder, monkeypatch, found):
    def version(name):
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(tables, "version", version)
    with pytest.raises(DataError, match=r"needs datasets 4 or later: pip install 'ambientkit\[hub\]'"):
        built(folder)


def test_a_recipe_wants_their_size(tiny, folder):
    recipe = tiny()
    recipe["data"] = {"source": {"kind": "hugging_face", "path": str(folder)}}
    with pytest.raises(RecipeError, match=r"set data\.image_size"):
        ENGINE.load(recipe)
