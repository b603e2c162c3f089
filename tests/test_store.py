"""The measured store: what is written is read, and only whole stores are found."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from leavings import DEAD, left_by

from ambientkit import Context, Measured
from ambientkit.cached import find_or_make
from ambientkit.data import Source, no_progress
from ambientkit.errors import DataError
from ambientkit.store import (
    Store,
    StoreWriter,
    alike,
    begin_store,
    commit_store,
    discard_store,
    only_one,
    open_store,
)

pytestmark = pytest.mark.smoke


def measured(n: int, width: int = 5, *, known: bool = True) -> Measured:
    numbers = torch.Generator().manual_seed(width)
    y = torch.rand(n, 3, 4, width, generator=numbers) * 2 - 1
    observed = torch.rand(n, 1, 4, width, generator=numbers) < 0.5
    return Measured(y, observed, {"angle": torch.arange(n).float()} if known else None)


def written(samples: Measured, *, eight_bits: bool = False, writer: StoreWriter | None = None):
    writer = writer or StoreWriter()
    writer.open(samples, len(samples.y), eight_bits=eight_bits)
    writer.append(samples)
    return writer


@given(n=st.integers(1, 5), width=st.integers(1, 19), known=st.booleans())
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read(n, width, known):
    samples = measured(n, width, known=known)
    store = written(samples).close()
    order = np.arange(n)[::-1].copy()
    found = store.read(order)
    assert torch.equal(found.y, samples.y[order])
    assert torch.equal(found.observed, samples.observed[order])
    assert (found.known is not None) == known
    assert not known or torch.equal(found.known["angle"], samples.known["angle"][order])


def test_eight_bits_keep_every_value_of_a_picture_and_nothing_that_is_hidden():
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    y = values.float() / 127.5 - 1
    observed = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    observed[..., :3] = False
    store = written(Measured(y, observed), eight_bits=True).close()
    found = store.read(np.array([0]))
    assert found.y.dtype == torch.uint8
    assert torch.equal(found.y[observed], values[observed])
    assert (found.y[~observed] == 0).all()


def test_floats_are_kept_unclipped_and_need_no_observed():
    y = torch.tensor([[5.0, -7.25]])
    found = written(Measured(y)).close().read(np.array([0]))
    assert torch.equal(found.y, y)
    assert found.observed is None
    assert found.known is None


def test_a_store_cannot_be_written_to():
    store = written(measured(3)).close()
    with pytest.raises(ValueError, match="read-only"):
        store.arrays["y"][0] = 0


def test_it_is_found_when_it_is_committed_and_not_before(tmp_path):
    final = tmp_path / "stores" / "abc"
    assert open_store(final) is None
    samples = measured(3)
    writer = begin_store(final)
    written(samples, writer=writer)
    assert open_store(final) is None
    commit_store(writer, final, {"data": "x"})
    store = open_store(final)
    assert len(store) == 3
    assert torch.equal(store.read(np.array([1])).y, samples.y[1:2])
    assert json.loads((final / "meta.json").read_text("utf-8"))["data"] == "x"
    assert [path.name for path in final.parent.iterdir()] == ["abc"]


def test_of_two_who_write_the_same_store_both_end_with_a_whole_one(tmp_path):
    final = tmp_path / "abc"
    first, second = begin_store(final), begin_store(final)
    samples = measured(2)
    for writer in (first, second):
        written(samples, writer=writer)
    commit_store(first, final, {})
    late = commit_store(second, final, {})
    assert torch.equal(late.read(np.array([0, 1])).y, samples.y)
    assert [path.name for path in tmp_path.iterdir()] == ["abc"]


def test_leavings_of_the_dead_are_removed_and_those_of_the_living_kept(tmp_path):
    final = tmp_path / "abc"
    dead, alive = left_by(DEAD, final), left_by(os.getppid(), final)
    dead.mkdir()
    alive.mkdir()
    discard_store(begin_store(final))
    assert [path.name for path in tmp_path.iterdir()] == [alive.name]


def test_what_was_left_of_other_stores_goes_too_unless_their_lock_is_held(tmp_path):
    """On a shared disk the process may be alive on another machine."""
    for name in ("left", "held"):
        left_by(DEAD, tmp_path / name).mkdir()
    (tmp_path / ".left.lock").touch()
    with only_one(tmp_path / "held", lambda: None), only_one(tmp_path / "abc", lambda: None):
        discard_store(begin_store(tmp_path / "abc"))
    assert [path.name for path in tmp_path.iterdir()] == [left_by(DEAD, tmp_path / "held").name]


def test_the_lock_of_who_died_after_the_last_write_goes_when_the_store_is_found(engine, tmp_path):
    faces = engine.build("dataset", "toy_faces", context=Context(image_size=(16, 16)), count=4)
    sensor = engine.build("measurement", "block_patch", context=Context(image_size=(16, 16)), size=6)
    source = Source(faces, sensor, 0, "data")
    where = (source, list(range(4)), tmp_path, {"eight_bits": True}, no_progress)
    find_or_make(*where)
    (final,) = (tmp_path / "stores").iterdir()
    left = tmp_path / "stores" / f".{final.name}.lock"
    with only_one(final, lambda: None):
        find_or_make(*where)
        assert left.exists(), "who holds it is alive"
    left.touch()
    find_or_make(*where)
    assert [path.name for path in (tmp_path / "stores").iterdir()] == [final.name]


def test_samples_are_alike_up_to_rounding_and_so_is_what_is_not_known():
    one = written(measured(3)).close()
    angle = one.arrays["known.angle"].copy()
    angle[0] = np.nan
    unsure, places = Store({**one.arrays, "known.angle": angle}, one.width), [0, 1, 2]
    rounded = Store({**unsure.arrays, "y": one.arrays["y"] + np.float32(1e-5)}, one.width)
    assert alike(unsure, rounded, places) and not alike(one, unsure, places)
    for name, other in (("y", one.arrays["y"] + np.float32(0.1)), ("observed", ~one.arrays["observed"])):
        assert not alike(one, Store({**one.arrays, name: other}, one.width), places)
    assert not alike(one, Store({"y": one.arrays["y"]}, one.width), places)
    levels = [Store({"y": np.full((1, 1, 2, 2), value, np.uint8)}, 2) for value in (100, 101, 102)]
    assert alike(levels[0], levels[1], [0]) and not alike(levels[0], levels[2], [0])


@pytest.mark.parametrize("damage", ["meta", "other", "list", "cut", "empty", "remove", "shape"])
def test_a_damaged_store_is_refused_with_what_to_do(tmp_path, damage):
    final = tmp_path / "abc"
    writer = begin_store(final)
    written(measured(3), writer=writer)
    commit_store(writer, final, {})
    file = final / "y.npy"
    if damage == "meta":
        (final / "meta.json").write_text("{", "utf-8")
    elif damage in ("other", "list"):
        (final / "meta.json").write_text({"other": "[]", "list": '{"arrays": [1]}'}[damage], "utf-8")
    elif damage == "empty":
        file.write_bytes(b"")
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif damage == "remove":
        file.unlink()
    else:
        np.save(file, np.zeros((2, 3, 4, 5), np.float32))
    with pytest.raises(DataError, match=r"damaged.*delete the folder to have it made anew"):
        open_store(final)
