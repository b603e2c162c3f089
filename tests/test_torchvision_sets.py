"""Well-known data sets from local files, with messages for what is missing; nothing is downloaded here."""

import gzip
import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from ambientkit_plugins.torchvision_sets import register_datasets
from PIL import Image

from ambientkit import Context
from ambientkit.errors import DataError

KINDS = {component.kind: component for component in register_datasets()}


def build(kind, size=None, **options):
    component = KINDS[kind]
    return component.build(component.options(**options), Context(image_size=size))


def idx(pixels):
    return b"\0\0\x08\x03" + np.array(pixels.shape, ">u4").tobytes() + pixels.tobytes()


@pytest.fixture
def digits():
    return np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.fixture
def flat(tmp_path, digits):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(digits)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(digits[:2]))
    return tmp_path


@pytest.mark.parametrize("kind", ["mnist", "fashion_mnist"])
def test_a_plain_folder_of_idx_files(kind, flat, digits):
    data = build(kind, root=flat)
    assert data.image_shape == (1, 28, 28) and list(data.keys) == [f"train/{i:05d}" for i in range(5)]
    assert np.array_equal(data.images([4, 0])[:, 0].numpy(), digits[[4, 0]])
    assert list(build(kind, root=flat, split="test").keys) == ["test/00000", "test/00001"]


@pytest.mark.parametrize(("kind", "name"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_the_layout_of_torchvision(kind, name, flat, digits):
    raw = flat / "elsewhere" / name / "raw"
    raw.mkdir(parents=True)
    for file in flat.glob("*-ubyte*"):
        file.rename(raw / file.name)
    data = build(kind, root=flat / "elsewhere", split="all")
    assert len(data) == 7 and data.keys[5] == "test/00000"
    assert np.array_equal(data.images([5])[0, 0].numpy(), digits[0])


def test_digits_are_resized(flat):
    data = build("mnist", (32, 48), root=flat)
    images = data.images([0, 1])
    assert data.image_shape == (1, 32, 48) and images.shape == (2, 1, 32, 48) and images.dtype == torch.uint8


def test_a_missing_file_says_what_to_set(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*data\.source\.root.*download=true"):
        build("mnist", root=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no IDX file"), (b"\0\0\x08\x01" + b"0" * 40, "no IDX file"), ("short", "not the 5 pictures")],
)
def test_damaged_idx_files_are_named(tmp_path, digits, content, message):
    data = idx(digits)[:-1] if content == "short" else content
    (tmp_path / "train-images-idx3-ubyte").write_bytes(data)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte.*{message}"):
        build("mnist", root=tmp_path)


def test_damaged_gzip_is_named(flat):
    path = flat / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"ubyte\.gz: cannot be read"):
        build("mnist", root=flat)


def test_fingerprints_differ_where_data_do(flat):
    variants = [
        build("mnist", root=flat),
        build("fashion_mnist", root=flat),
        build("mnist", root=flat, split="test"),
        build("mnist", root=flat, split="all"),
        build("mnist", (32, 32), root=flat),
    ]
    assert len({data.fingerprint for data in variants}) == len(variants)
    assert build("mnist", root=flat).fingerprint == variants[0].fingerprint


def failing(*args, **kwargs):
    raise RuntimeError("the server is on holiday")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("cifar10", "CIFAR10"), ("celeba", "CelebA")],
)
def test_a_download_that_fails_becomes_one_message(tmp_path, monkeypatch, kind, name):
    monkeypatch.setattr(torchvision.datasets, name, failing)
    with pytest.raises(DataError, match=f"{name}: the download.*on holiday.*by hand"):
        build(kind, root=tmp_path, download=True)


def test_a_download_is_used(tmp_path, monkeypatch, digits):
    def fetch(root, download):
        assert download
        raw = Path(root) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        (raw / "train-images-idx3-ubyte").write_bytes(idx(digits))

    monkeypatch.setattr(torchvision.datasets, "MNIST", fetch)
    assert len(build("mnist", root=tmp_path, download=True)) == 5


def test_nothing_is_fetched_when_the_files_are_there(flat, monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "MNIST", failing)
    assert len(build("mnist", root=flat, download=True)) == 5


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """CIFAR-10's layout with three pictures a file, and torchvision told of their digests."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()

    def write(name, content):
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    def batch(seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (3, 3072), dtype=np.uint8)
        return {"data": pixels, "labels": [0, 0, 0]}

    base = torchvision.datasets.CIFAR10
    monkeypatch.setattr(
        base, "train_list", [write("data_batch_1", batch(1)), write("data_batch_2", batch(2))]
    )
    monkeypatch.setattr(base, "test_list", [write("test_batch", batch(3))])
    name, digest = write("batches.meta", {"label_names": ["thing"]})
    monkeypatch.setattr(base, "meta", {"filename": name, "key": "label_names", "md5": digest})
    return tmp_path


def test_cifar10(cifar):
    data = build("cifar10", root=cifar, split="all")
    assert data.image_shape == (3, 32, 32) and len(data) == 9 and data.keys[6] == "test/00000"
    expected = np.random.default_rng(3).integers(0, 256, (3, 3072), dtype=np.uint8)[1].reshape(3, 32, 32)
    assert np.array_equal(data.images([7])[0].numpy(), expected)


def test_missing_or_damaged_cifar10_says_where_to_get_it(cifar):
    (cifar / "cifar-10-batches-py" / "test_batch").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"cifar-10-batches-py.*cs\.toronto\.edu.*download=true"):
        build("cifar10", root=cifar)


@pytest.mark.parametrize("place", [".", "img_align_celeba", "celeba/img_align_celeba"])
def test_celeba_from_a_plain_folder(tmp_path, place):
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    rows = np.arange(218, dtype=np.uint8)[:, None, None].repeat(178, 1).repeat(3, 2)
    for number in (2, 1):
        Image.fromarray(rows).save(folder / f"{number:06d}.jpg", quality=100)
    data = build("celeba", root=tmp_path)
    assert list(data.keys) == ["000001.jpg", "000002.jpg"] and data.image_shape == (3, 109, 89)
    middle = data.images([0])[0, 0, :, 40].float()
    assert (middle - torch.arange(54, 163)).abs().max() <= 2  # the central rows
    assert build("celeba", (64, 64), root=tmp_path).images([1]).shape == (1, 3, 64, 64)
    assert build("celeba", root=tmp_path, crop=1.0).image_shape == (3, 218, 178)
    square = build("celeba", root=tmp_path, crop=(108, 106))
    assert square.image_shape == (3, 108, 106)
    assert (square.images([0])[0, 0, :, 40].float() - torch.arange(55, 163)).abs().max() <= 2


def test_missing_celeba_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"mmlab.*data\.source\.root.*data\.source\.download=true"):
        build("celeba", root=tmp_path)


def test_all_declare_clean_pictures():
    assert sorted(KINDS) == ["celeba", "cifar10", "fashion_mnist", "mnist"]
    assert {component.options().facts() for component in KINDS.values()} == {frozenset({"clean"})}


def test_the_real_digits():
    root = os.environ.get("AMBIENTKIT_TEST_DATA")
    if not root or not (Path(root) / "mnist").is_dir():
        pytest.skip("AMBIENTKIT_TEST_DATA does not name a folder with mnist/")
    data = build("mnist", root=Path(root) / "mnist", split="all")
    assert len(data) == 70_000 and data.keys[60_000] == "test/00000"
    assert 0.1 < data.images(range(100)).float().mean() / 255 < 0.2
