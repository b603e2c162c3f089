"""The study's digits: what the three ways are given, and how their digits are scored."""

from __future__ import annotations

import gzip
import importlib
import struct
import sys

import numpy as np
import pytest
import torch
from docs_tables import ROOT
from PIL import Image

from ambientkit import Engine

ENGINE = Engine(discover=False)
MADE = 12


@pytest.fixture(scope="module")
def digits():
    sys.path.insert(0, str(ROOT / "benchmarks/study"))
    yield importlib.import_module("digits")
    sys.path.remove(str(ROOT / "benchmarks/study"))


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    """A few pictures in the files of MNIST: crosses."""
    place = tmp_path_factory.mktemp("mnist")
    pixels = np.zeros((MADE, 28, 28), np.uint8)
    pixels[:, 10:18, 4:24] = 200
    pixels[:, 4:24, 10:18] = 250
    for which in ("train", "t10k"):
        head = struct.pack(">4B3I", 0, 0, 8, 3, *pixels.shape)
        (place / f"{which}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        labels = struct.pack(">4BI", 0, 0, 8, 1, MADE) + bytes(range(MADE))
        with gzip.open(place / f"{which}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(labels)
    return place


@pytest.fixture(scope="module")
def prepared(digits, mnist, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(digits, "PICTURES", MADE)
    out = tmp_path_factory.mktemp("study")
    digits.prepare(ENGINE, mnist, out)
    patch.undo()
    return out


def test_every_row_is_a_valid_recipe(digits, prepared):
    rows = [*digits.rows(prepared), *digits.wrong_rows(prepared)]
    assert len({row.name for row in rows}) == len(rows) == 24
    for row in rows:
        assert ENGINE.load(row.recipe, *row.changes).recipe.name == row.name
    told = [ENGINE.load(row.recipe, *row.changes).measurement.options for row in digits.wrong_rows(prepared)]
    assert [options.p for options in told[:4]] == [0.5, 0.55, 0.625, 0.75]
    assert [options.size for options in told[4:8]] == [12, 13, 15, 18]
    assert [options.sigma for options in told[8:]] == [0.5, 0.55, 0.625, 0.75]
    assert not any(options.rescale for options in told[:4]), "the data were not measured so"


def test_what_is_hidden_is_guessed_from_around_it(prepared):
    """Inside the window all are the digit; outside, what is ignored is black and what is undone is smooth."""
    names = [f"{number:05d}.png" for number in range(MADE)]
    clean, ignored, undone = (
        np.stack([np.asarray(Image.open(prepared / folder / name)) for name in names]).astype(int)
        for folder in ("clean", "keep_patch_ignored", "keep_patch_undone")
    )
    kept = (np.abs(ignored - clean) <= 1).reshape(MADE, -1).mean(1)
    assert (kept > 14 * 14 / 28**2 - 0.01).all() and (ignored[np.abs(ignored - clean) > 1] == 0).all()
    inside = (ignored > 0) & (np.abs(ignored - clean) <= 1)
    assert np.abs(undone - clean)[inside].max() <= 1
    steps = np.abs(np.diff(undone, axis=2))[~(inside[:, :, 1:] | inside[:, :, :-1])]
    assert steps.mean() < 10, "what was hidden goes on smoothly"


def test_least_squares_undo_what_can_be_undone(digits):
    sensor = digits.built(ENGINE, {"kind": "pad_rotate_project_theta", "angles": 8, "air": -1.0})
    x = -torch.ones(2, 1, 28, 28)
    x[:, :, 10:18, 8:20] = 0.5
    theta = sensor.sample(2, (1, 28, 28), torch.Generator().manual_seed(0))
    found = digits.least_squares(sensor, sensor.measure(x, theta), theta, steps=150)
    assert float((found - x).square().mean()) < 0.1 * float((x + 1).square().mean())
    again = sensor.measure(found, theta) - sensor.measure(x, theta)
    assert float(again.square().mean()) < 0.02 * float(sensor.measure(x, theta).square().mean())


def test_the_score_of_ten_kinds_told_apart_is_ten_and_of_one_kind_is_one(digits):
    sure = torch.eye(10).repeat(3, 1) * 50
    value, low, high = digits.score(lambda part: part.flatten(1), sure.view(30, 1, 1, 10))
    assert value == pytest.approx(10) and low <= value >= high > 8
    alike = sure[:1].repeat(30, 1).view(30, 1, 1, 10)
    assert digits.score(lambda part: part.flatten(1), alike)[0] == pytest.approx(1)
