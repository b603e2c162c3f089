"""Splitting, measuring, and batches as a function of their number."""

from __future__ import annotations

import importlib

import engine_fakes as fakes
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ambientkit import Measured, Measurement
from ambientkit.assembly import prepare_data
from ambientkit.cached import cache_folder, code_of
from ambientkit.data import Batches, HoldOut, Source, fill_store, sample_by_key, split
from ambientkit.errors import DataError
from ambientkit.levels import to_eight_bits, to_float
from ambientkit.recipe import HoldoutRule
from ambientkit.store import StoreWriter

pytestmark = pytest.mark.smoke

NAMES = st.lists(st.text("abc/", min_size=1, max_size=6), min_size=3, max_size=12, unique=True)


class Listed:
    """Samples by index."""

    def __init__(self, y: torch.Tensor, observed: torch.Tensor | None = None) -> None:
        self.y, self.observed = y, observed

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices, counter):
        return Measured(self.y[indices], None if self.observed is None else self.observed[indices])


# Splitting --------------------------------------------------------------------------------------


@given(NAMES, st.integers(0, 2), st.randoms())
def test_the_split_does_not_depend_on_the_order_of_the_files(names, holdout, random):
    shuffled = random.sample(names, len(names))
    chosen = [{keys[i] for i in split(keys, holdout)[1]} for keys in (names, shuffled)]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == holdout


@given(NAMES, st.randoms())
def test_the_first_of_a_rule_do_not_depend_on_the_order_of_the_files(names, random):
    names = [*names, *(f"{number}.png" for number in range(20))]
    shuffled = random.sample(names, len(names))
    rule = HoldoutRule(one_in=3, first=2)
    (_, held), (_, other) = split(names, rule), split(shuffled, rule)
    assert [names[i] for i in held] == [shuffled[i] for i in other]


def test_equal_file_names_in_several_folders_are_split_by_their_whole_name():
    keys = [f"{folder}/same.png" for folder in "abcdef"]
    assert [keys[i] for i in split(keys, 2)[1]] == ["a/same.png", "b/same.png"]
    assert [keys[::-1][i] for i in split(keys[::-1], 2)[1]] == ["b/same.png", "a/same.png"]


def test_a_rule_is_that_of_its_docstring():
    import hashlib

    keys = [f"folder/{number}.png" for number in range(60)]
    expected = [k for k in keys if int(hashlib.sha1(k[7:].encode()).hexdigest(), 16) % 4 == 0]
    assert len(expected) > 5
    assert sorted(keys[i] for i in split(keys, HoldoutRule(one_in=4))[1]) == sorted(expected)


def test_nothing_left_is_said():
    with pytest.raises(DataError, match="keeps all 3 pictures"):
        split(["a", "b", "c"], 3)
    with pytest.raises(DataError, match=r"keeps none of 2 pictures; lower `one_in`"):
        split(["a", "b"], HoldoutRule(one_in=10**6))


# Values -----------------------------------------------------------------------------------------


def test_to_float_spans_the_range():
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [-1.0, 1.0]
    assert to_float(torch.tensor([0.0, 0.5, 1.0]), (0.0, 1.0)).tolist() == [-1.0, 0.0, 1.0]
    assert to_float(torch.tensor([-1.0, 0.3])).tolist() == pytest.approx([-1.0, 0.3])


def test_eight_bits_become_float_and_eight_bits_again():
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_eight_bits(to_float(values)), values)


def test_theta_by_key_is_that_of_each_key_alone(engine):
    sensor = engine.build("measurement", "block_patch", size=6)
    together = sample_by_key(sensor, (3, 16, 16), 4, "measure", ["a", "b", "c"])
    alone = [sample_by_key(sensor, (3, 16, 16), 4, "measure", [key])["corner"] for key in "abc"]
    assert torch.equal(together["corner"], torch.cat(alone))


def test_a_measurement_that_is_not_finite_names_the_picture(engine):
    class Bad(Measurement):
        def sample(self, n, image_shape, generator):
            return {"bad": torch.rand(n, generator=generator) < 0.3}

        def measure(self, images, theta):
            return torch.where(theta["bad"].view(-1, 1, 1, 1), torch.inf, images)

    dataset = engine.build("dataset", "fakes/numbers")
    with pytest.raises(DataError, match=r"^\d+\.png: its measurement holds a value that is not finite"):
        fill_store(StoreWriter(), Source(dataset, Bad(), 0, "measure"), range(32))


def test_measuring_tells_how_far_it_is(engine, monkeypatch, tmp_path):
    from ambientkit import data

    monkeypatch.setattr(data, "CHUNK", 10)
    told = []
    plan = engine.load(fakes.tiny())
    prepare_data(plan, tmp_path, lambda *args: told.append(args))
    assert told == [("measuring", n, 32) for n in (10, 20, 30, 32)]


def test_the_cache_is_where_it_was_said(monkeypatch, tmp_path):
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("AMBIENTKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ambientkit"


def test_a_cache_that_cannot_be_written_is_said(engine, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(DataError, match=r"cannot keep measured data there.*set AMBIENTKIT_CACHE"):
        prepare_data(engine.load(fakes.tiny()), tmp_path / "file")


def test_an_edited_sensor_makes_another_store(tmp_path):
    """A sensor under development must not be answered with what its former self measured."""
    from ambientkit import Engine

    code = """
from ambientkit import Component, Measurement, Options, hookimpl

AMBIENTKIT_HOOK_API = 1

class DimOptions(Options):
    \"\"\"Dims.\"\"\"

class Dim(Measurement):
    def sample(self, n, image_shape, generator):
        import torch
        return {"nothing": torch.zeros(n, 0)}

    def measure(self, images, theta):
        return images * FACTOR

@hookimpl
def register_measurements():
    yield Component("dim", DimOptions, lambda options, context: Dim())
"""
    file, brightness = tmp_path / "dim.py", []
    for factor in ("0.5", "0.25"):
        file.write_text(code.replace("FACTOR", factor), "utf-8")
        engine = Engine(files=[file], discover=False)
        recipe = fakes.tiny(
            measurement={"kind": "dim/dim"},
            composite=False,
            generator={"kind": "dcgan", "width": 4},
            discriminator={"kind": "dcgan", "width": 4, "mask_channel": False},
        )
        found, _ = prepare_data(engine.load(recipe), tmp_path / "cache")
        brightness.append(found.samples.batch(torch.arange(32), 0).y)
    assert torch.equal(brightness[0], brightness[1] * 2)


def test_a_file_beside_a_sensors_own_counts_too(tmp_path, monkeypatch):
    """A helper in the package, and the file of a base class."""
    package = tmp_path / "sensors_with_help"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("FACTOR = 1")
    (package / "dim.py").write_text("class Dim: pass")
    (tmp_path / "dimmer.py").write_text("import sensors_with_help.dim as d\nclass Dimmer(d.Dim): pass")
    monkeypatch.syspath_prepend(str(tmp_path))
    kind = importlib.import_module("dimmer").Dimmer
    before = code_of(kind)
    assert len(before) == 4 and before == code_of(kind)
    (package / "helper.py").write_text("FACTOR = 2")
    assert sum(one != other for one, other in zip(before, code_of(kind), strict=True)) == 1
    assert code_of(type("Prompt", (), {"__module__": "__console__"})) == []


# Batches ----------------------------------------------------------------------------------------


@given(n=st.integers(1, 20), size=st.integers(1, 6), seed=st.integers(0, 5))
def test_an_epoch_shows_each_picture_at_most_once_and_leaves_one_batch_out_at_most(n, size, seed):
    if n < size:
        return
    batches = Batches(Listed(torch.zeros(n, 1, 1, 1)), size, seed)
    for epoch in (0, 1):
        counters = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
        seen = torch.cat([batches.indices(counter) for counter in counters]).tolist()
        assert len(seen) == len(set(seen)) > n - size
        assert set(seen) <= set(range(n))


def test_epochs_differ_and_a_batch_is_a_function_of_its_number():
    batches = Batches(Listed(torch.zeros(12, 1, 1, 1)), 12, 0)
    assert not torch.equal(batches.indices(0), batches.indices(1))
    assert torch.equal(batches.indices(1), batches.indices(1))


def test_too_few_pictures_for_a_batch_are_refused():
    with pytest.raises(DataError, match=r"3 training pictures are fewer than one batch of 4; lower"):
        Batches(Listed(torch.zeros(3, 1, 1, 1)), 4, 0)


def test_a_mirrored_sample_is_mirrored_whole():
    y = torch.arange(40.0).view(40, 1, 1, 1).expand(40, 1, 2, 3) * 10 + torch.arange(3.0)
    observed = (torch.arange(3) > 0).expand(40, 1, 2, 3)
    batch = Batches(Listed(y.contiguous(), observed), 40, 0, flip=True)(0)
    turned = batch.y[:, 0, 0, 0] > batch.y[:, 0, 0, 2]
    assert 5 < turned.sum() < 35
    assert torch.equal(batch.observed[:, 0, 0, 0], turned), "a hole moves with its picture"
    assert torch.equal(batch.observed[:, 0, 0, 2], ~turned)


def test_a_mirrored_measurement_may_have_any_axes():
    y = torch.arange(3.0).expand(40, 3).contiguous()
    batch = Batches(Listed(y), 40, 0, flip=True)(0)
    assert batch.y.shape == y.shape and {tuple(row) for row in batch.y.tolist()} == {(0, 1, 2), (2, 1, 0)}


def test_held_out_batches_come_in_order_with_their_truth():
    held = HoldOut(Listed(torch.arange(5.0).view(5, 1, 1, 1)), torch.arange(5.0).view(5, 1, 1, 1))
    parts = list(held.batches(2))
    assert [len(measured.y) for measured, _ in parts] == [2, 2, 1]
    assert all(torch.equal(measured.y, truth) for measured, truth in parts)
    assert sum(len(measured.y) for measured, _ in held.batches(2, limit=3)) == 3
