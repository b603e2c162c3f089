"""Measurements of real instruments: files of arrays as data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ambientkit_plugins.instruments.dataset import MeasuredArray
from engine_recipes import tiny
from test_vectors import SHAPE, TiltedSums, Vectors, recipe

from ambientkit import Engine
from ambientkit.assembly import open_data, prepare_data
from ambientkit.errors import DataError, RecipeError

GENERATOR = np.random.default_rng(0)
Y = GENERATOR.normal(size=(30, 48)).astype(np.float32)
TURNED = GENERATOR.integers(0, 2, (30, 1)).astype(np.float64)
PICTURES = GENERATOR.integers(0, 256, (12, 3, 8, 6), dtype=np.uint8)


@pytest.fixture
def vectors(tmp_path):
    return Engine(plugins=[Vectors()], discover=False, cache_dir=tmp_path / "cache")


def save(folder, **arrays):
    file = folder / "measured.npz"
    np.savez(file, **arrays)
    return file


def opened(engine, file, **options):
    return engine.build("dataset", "measured_array", file=file, **options)


def arrays_recipe(file, **changes):
    source = {"kind": "measured_array", "file": str(file), "image_shape": list(SHAPE)}
    return recipe(data={"source": source, "holdout": 4}, **changes)


def test_projections_of_an_instrument_train_without_a_single_picture(vectors, tmp_path):
    file = save(tmp_path, y=Y, known_turned=TURNED)
    result = vectors.run(arrays_recipe(file), "train.steps=2", out=tmp_path / "runs")
    assert vectors.open(result.folder).generate(1).shape == (1, *SHAPE)


def test_samples_come_as_they_were_measured(engine, tmp_path):
    data = opened(engine, save(tmp_path, y=Y, known_turned=TURNED), image_shape=list(SHAPE))
    assert data.arrives_measured
    assert len(data) == 30
    assert data.image_shape == SHAPE
    got = data.measured([5, 2])
    assert torch.equal(got.y, torch.from_numpy(Y[[5, 2]]))
    assert got.observed is None
    assert got.known["turned"].dtype == torch.float32
    assert got.known["turned"].tolist() == TURNED[[5, 2]].tolist()
    assert opened(engine, save(tmp_path, y=Y), image_shape=list(SHAPE)).fingerprint != data.fingerprint


def test_a_bare_npy_file_is_y_alone(engine, tmp_path):
    np.save(tmp_path / "y.npy", Y.astype(np.float64))
    data = opened(engine, tmp_path / "y.npy", image_shape=list(SHAPE))
    assert torch.equal(data.measured([0, 29]).y, torch.from_numpy(Y[[0, 29]]))


def test_pictures_of_any_layout_and_range(engine, tmp_path):
    plain = opened(engine, save(tmp_path, y=PICTURES))
    assert plain.image_shape == (3, 8, 6)
    last = opened(engine, save(tmp_path, y=PICTURES.transpose(0, 2, 3, 1)), layout="channels_last")
    assert torch.equal(plain.measured([3]).y, last.measured([3]).y)
    assert plain.measured([0]).y.dtype == torch.uint8
    scaled = opened(engine, save(tmp_path, y=PICTURES / 255), value_range=[0, 1])
    assert torch.allclose(scaled.measured([3]).y, plain.measured([3]).y / 127.5 - 1, atol=1e-6)
    counts = opened(engine, save(tmp_path, y=PICTURES.astype(np.int32)))
    assert counts.measured([1]).y.dtype == torch.float32
    assert torch.equal(counts.measured([1]).y, plain.measured([1]).y.float())


@pytest.mark.parametrize("axes", [3, 4])
def test_masks_come_along(engine, tmp_path, axes):
    seen = GENERATOR.random((12, 1, 8, 6)) < 0.5
    file = save(tmp_path, y=PICTURES, observed=seen if axes == 4 else seen[:, 0])
    assert torch.equal(
        opened(engine, file, observed=True).measured([2, 7]).observed, torch.from_numpy(seen[[2, 7]])
    )


BAD = {
    "no such file": (None, {}, "there is no such file"),
    "no y": ({"x": Y}, {}, "holds `x`, but no array `y`"),
    "a strange array": ({"y": Y, "angle": TURNED}, {}, "`angle` is neither `y`, `observed` nor `known_...`"),
    "NaN": ({"y": np.where(np.arange(30)[:, None] == 7, np.nan, Y)}, {}, "measurement 7 of `y` holds NaN"),
    "NaN in known": ({"y": Y, "known_turned": TURNED + np.inf}, {}, "`known_turned` holds NaN"),
    "text": ({"y": Y, "known_turned": np.full((30, 1), "a")}, {}, "give real numbers or bool"),
    "complex": ({"y": Y * 1j}, {}, "real numbers"),
    "lengths": ({"y": Y, "known_turned": TURNED[:9]}, {}, "`y` 30, `known_turned` 9"),
    "large": (
        {"y": Y + np.float64(1e200) * np.ones(48)},
        {},
        "measurement 0 of `y` holds numbers too large for float32",
    ),
    "large known": ({"y": Y, "known_turned": TURNED + 1e300}, {}, "`known_turned` holds numbers too large"),
    "large whole": (
        {"y": Y, "known_turned": np.full((30, 1), 2**63, np.uint64)},
        {},
        "`known_turned` holds 9223372036854775808, which is too large",
    ),
    "scalars": ({"y": Y[:, 0]}, {}, "an axis of measurements"),
    "unsaid masks": ({"y": PICTURES, "observed": PICTURES > 9}, {}, "set data.source.observed: true"),
    "masks unfound": ({"y": PICTURES}, {"observed": True}, "set data.source.observed: false"),
    "grey masks": ({"y": PICTURES, "observed": PICTURES}, {"observed": True}, "must be bool"),
    "masks of another size": (
        {"y": PICTURES, "observed": PICTURES[..., 1:] > 9},
        {"observed": True},
        r"of y",
    ),
    "a range for bytes": ({"y": PICTURES}, {"value_range": [0, 1]}, "remove `value_range`"),
    "a range upside down": ({"y": PICTURES / 255}, {"value_range": [1, 0]}, "is not"),
    "no pictures behind": ({"y": Y}, {"image_shape": None}, r"image_shape: \[C, H, W\]"),
    "channels of vectors": ({"y": Y}, {"layout": "channels_last"}, r"needs \(N, H, W, C\)"),
}


@pytest.mark.parametrize(("arrays", "options", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_with_a_file_is_said_with_its_name(engine, tmp_path, arrays, options, message):
    file = tmp_path / "none.npz" if arrays is None else save(tmp_path, **arrays)
    shape = None if arrays and "y" in arrays and arrays["y"].ndim == 4 else list(SHAPE)
    with pytest.raises(DataError, match=message) as caught:
        opened(engine, file, **{"image_shape": shape, **options})
    assert file.name in str(caught.value)


def test_hidden_pixels_may_hold_nan_which_nobody_sees(engine, tmp_path):
    y, observed = np.zeros((6, 1, 8, 8), np.float32), np.ones((6, 8, 8), bool)
    observed[:, 2:5, 2:5] = False
    y[~observed[:, None]] = np.nan
    np.savez(tmp_path / "y.npz", y=y, observed=observed)
    plan = engine.load(masked(tmp_path / "y.npz", {"kind": "block_patch", "size": 3, "fill": 1.0}))
    data, _ = prepare_data(plan, tmp_path / "cache")
    batch = data.samples.batch(torch.arange(2), 0)
    assert torch.equal(batch.y, (~batch.observed).float())


def test_hidden_pixels_of_data_need_a_sensor_that_says_what_it_writes_there(engine, tmp_path):
    """Else a network would be shown what the file holds there, and fakes would hold something else."""
    y, observed = np.full((6, 1, 8, 8), 0.5, np.float32), np.ones((6, 8, 8), bool)
    observed[:, 2:5, 2:5] = False
    np.savez(tmp_path / "y.npz", y=y, observed=observed)
    parts = [{"kind": "block_patch", "size": 3}, {"kind": "gaussian_noise", "sigma": 0.1}]
    recipe = masked(tmp_path / "y.npz", {"kind": "sequence", "sensors": parts})
    with pytest.raises(DataError, match="use a sensor with a `fill`"):
        prepare_data(engine.load(recipe), tmp_path / "cache")


@pytest.mark.parametrize(("scale", "refused"), [(1.0, False), (2.5, False), (255.0, True)])
def test_pixels_that_an_exact_sensor_cannot_have_seen_are_refused(engine, tmp_path, scale, refused):
    y, observed = np.full((6, 1, 8, 8), scale, np.float32), np.ones((6, 8, 8), bool)
    observed[:, 2:5, 2:5] = False
    y[~observed[:, None]] = 1e6  # what is hidden is nobody's business
    np.savez(tmp_path / "y.npz", y=y, observed=observed)
    plan = engine.load(masked(tmp_path / "y.npz", {"kind": "block_patch", "size": 3}))
    if not refused:
        assert open_data(plan).training
        return
    with pytest.raises(DataError, match="reach 1; bring the data to the sensor's units"):
        open_data(plan)


@pytest.mark.parametrize(("scale", "said"), [(1, False), (1000, True)])
def test_measurements_in_other_units_than_the_sensors_are_warned_of(vectors, tmp_path, caplog, scale, said):
    plan = vectors.load(arrays_recipe(save(tmp_path, y=Y * scale, known_turned=TURNED)))
    open_data(plan)
    assert ["fakes may be told apart" in record.message for record in caplog.records] == [True] * said


@pytest.mark.parametrize("with_masks", [False, True])
def test_a_start_reads_few_large_measurements_at_once(vectors, engine, tmp_path, monkeypatch, with_masks):
    """They may be so large that a few hundred fill the memory."""
    read = []
    sound = MeasuredArray.measured

    def measured(data, indices):
        read.append(len(indices))
        return sound(data, indices)

    monkeypatch.setattr(MeasuredArray, "measured", measured)
    if with_masks:
        observed = np.ones((60, 8, 8), bool)
        observed[:, 2:5, 2:5] = False
        np.savez(tmp_path / "y.npz", y=np.zeros((60, 1, 8, 8), np.float32), observed=observed)
        plan = engine.load(masked(tmp_path / "y.npz", {"kind": "block_patch", "size": 3}))
    else:
        plan = vectors.load(arrays_recipe(save(tmp_path, y=Y, known_turned=TURNED)))
    open_data(plan)
    assert max(read) == 16


def test_measurements_that_are_looked_at_are_held_to_what_was_asked_for(vectors, tmp_path, monkeypatch):
    sound = MeasuredArray.measured
    monkeypatch.setattr(MeasuredArray, "measured", lambda data, indices: sound(data, indices[:1]))
    plan = vectors.load(arrays_recipe(save(tmp_path, y=Y, known_turned=TURNED)))
    with pytest.raises(DataError, match=r"16 samples have a y of \(1, 48\); the first axis is theirs"):
        open_data(plan)


def masked(file, sensor, **changes):
    """A recipe for an array of 8x8 pictures with masks."""
    return tiny(
        data={
            "source": {"kind": "measured_array", "file": str(file), "observed": True},
            "holdout": 0,
            "image_size": None,
        },
        measurement=sensor,
        generator={"kind": "dcgan", "width": 4},
        discriminator={"kind": "dcgan", "width": 4},
        composite=False,
        fidelity=[],
        metrics=[],
        train={"batch_size": 2},
        **changes,
    )


def test_pickled_arrays_are_refused_and_not_run(engine, tmp_path):
    np.savez(tmp_path / "bad.npz", y=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read as numpy arrays"):
        opened(engine, tmp_path / "bad.npz")


def test_image_size_must_agree(vectors, tmp_path):
    source = arrays_recipe(save(tmp_path, y=Y, known_turned=TURNED))
    source["data"]["image_size"] = [32, 32]
    with pytest.raises(DataError, match=r"data.image_size is \[32, 32\], but the pictures are \[16, 16\]"):
        vectors.run(source, out=tmp_path)


def test_data_that_are_not_what_the_sensor_makes_are_refused(vectors, tmp_path):
    with pytest.raises(
        DataError, match=r"measurements of shape \(47,\), but the sensor tests/sums gives \(48,\)"
    ):
        vectors.run(arrays_recipe(save(tmp_path, y=Y[:, 1:], known_turned=TURNED)), out=tmp_path)
    with pytest.raises(DataError, match=r"known nothing, but the sensor tests/sums gives {'turned': \(1,\)}"):
        vectors.run(arrays_recipe(save(tmp_path, y=Y)), out=tmp_path)
    with pytest.raises(RecipeError, match="the sensor says which pixels are observed, and data set"):
        vectors.load(arrays_recipe("a.npz", measurement={"kind": "block_patch", "size": 4}))


def test_what_a_simulated_instrument_saved_is_what_the_sensor_makes(vectors, tmp_path):
    """The whole way of a user: measure elsewhere, save, train."""
    sensor = TiltedSums()
    theta = sensor.sample(20, SHAPE, torch.Generator().manual_seed(3))
    y = sensor.measure(torch.rand(20, *SHAPE) * 2 - 1, theta)
    known = {f"known_{name}": value.numpy() for name, value in sensor.known(theta).items()}
    result = vectors.run(arrays_recipe(save(tmp_path, y=y.numpy(), **known)), "train.steps=1", out=tmp_path)
    assert result.step == 1
