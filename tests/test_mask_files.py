"""Holes from a folder of mask pictures: how they are read, drawn and refused."""

import numpy as np
import pytest
import torch
from ambientkit_plugins.mask_files import register_measurements
from ambientkit_plugins.mask_files.options import MaskFromDataOptions
from ambientkit_plugins.mask_files.sensor import MaskFromData
from PIL import Image
from pydantic import ValidationError

from ambientkit import Context
from ambientkit.assembly import prepare_data
from ambientkit.errors import DataError, RunFolderError

(COMPONENT,) = register_measurements()


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def write(folder, name, white):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(white, dtype=np.uint8) * 255).save(path)
    return path


def hole(top, left, shape=(8, 6)):
    white = np.zeros(shape, dtype=bool)
    white[top : top + 3, left : left + 2] = True
    return white


@pytest.fixture
def folder(tmp_path):
    """Three masks of 8x6; white is hidden."""
    for name, place in (("b.png", (1, 1)), ("a.png", (0, 3)), ("more/c.bmp", (5, 0))):
        write(tmp_path / "masks", name, hole(*place))
    return tmp_path / "masks"


WANTED = torch.from_numpy(np.stack([hole(0, 3), hole(1, 1), hole(5, 0)]))[:, None]


def test_masks_are_read_in_the_order_of_their_names(folder):
    assert torch.equal(MaskFromData(folder).masks((3, 8, 6)), WANTED)
    assert torch.equal(MaskFromData(folder, hidden="black").masks((3, 8, 6)), ~WANTED)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_seen_pixels_are_exact_and_hidden_ones_hold_the_fill_and_do_not_leak(folder, channels, dtype):
    sensor = MaskFromData(folder, mirror=True, fill=-0.5)
    theta = sensor.sample(20, (channels, 8, 6), gen())
    seen = sensor.observed(theta, (channels, 8, 6))
    assert (seen.shape, seen.dtype) == ((20, 1, 8, 6), torch.bool)
    images = (torch.rand(20, channels, 8, 6, generator=gen(1)) * 2 - 1).to(dtype)
    y = sensor.measure(images.masked_fill(~seen, float("nan")), theta)
    assert torch.equal(y, torch.where(seen, images, torch.tensor(-0.5, dtype=dtype)))
    for i in range(20):
        alone = {key: value[i : i + 1] for key, value in theta.items()}
        assert torch.equal(sensor.measure(images[i : i + 1], alone), y[i : i + 1])


def test_each_mask_is_drawn_as_often_and_half_are_mirrored_if_asked_for(folder):
    theta = MaskFromData(folder).sample(9000, (3, 8, 6), gen())
    counts = torch.bincount(theta["index"], minlength=3)
    assert ((counts - 3000).square() / 3000).sum() < 13.8  # 2 degrees of freedom, one in a thousand
    assert not theta["mirrored"].any()
    sensor = MaskFromData(folder, mirror=True)
    theta = sensor.sample(9000, (3, 8, 6), gen())
    assert abs(theta["mirrored"].double().mean() - 0.5) < 0.02
    drawn = WANTED[theta["index"]]
    wanted = torch.where(theta["mirrored"].view(-1, 1, 1, 1), drawn.flip(-1), drawn)
    assert torch.equal(~sensor.observed(theta, (3, 8, 6)), wanted)


def test_draws_come_from_the_generator_alone(folder):
    sensor = MaskFromData(folder)
    before = torch.random.get_rng_state()
    first, again, other = (sensor.sample(50, (3, 8, 6), gen(seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first["index"], again["index"])
    assert not torch.equal(first["index"], other["index"])


def test_masks_are_resized_by_the_nearest_pixel_to_each_size_of_picture(folder):
    sensor = MaskFromData(folder)
    assert torch.equal(sensor.masks((3, 16, 18)), WANTED.repeat_interleave(2, 2).repeat_interleave(3, 3))
    assert torch.equal(sensor.masks((3, 8, 6)), WANTED)
    assert sensor.observed(sensor.sample(2, (1, 16, 18), gen()), (1, 16, 18)).shape == (2, 1, 16, 18)
    with pytest.raises(DataError, match=r"a\.png: the mask is 8 x 6, the pictures are 16 x 18"):
        MaskFromData(folder, resize=False).sample(1, (3, 16, 18), gen())
    assert torch.equal(MaskFromData(folder, resize=False).masks((3, 8, 6)), WANTED)


def test_masks_are_read_once_for_a_size(folder):
    sensor = MaskFromData(folder)
    first = sensor.masks((3, 8, 6))
    (folder / "a.png").unlink()
    assert sensor.masks((1, 8, 6)) is first


def test_colour_masks_are_read_as_they_look_and_transparent_ones_are_refused(tmp_path):
    colour = np.zeros((8, 6, 3), dtype=np.uint8)
    colour[:4] = 255
    Image.fromarray(colour).save(tmp_path / "colour.png")
    masks = MaskFromData(tmp_path).masks((1, 8, 6))
    assert masks[:, :, :4].all() and not masks[:, :, 4:].any()
    clear = np.zeros((8, 6, 4), dtype=np.uint8)  # black, and from row 4 on opaque
    clear[4:, :, 3] = 255
    Image.fromarray(clear).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match=r"clear\.png: the mask is transparent in places"):
        MaskFromData(tmp_path).masks((1, 8, 6))


def test_what_is_no_mask_is_refused_by_name(folder):
    grey = np.full((8, 6), 128, dtype=np.uint8)
    Image.fromarray(grey).save(folder / "photo.png")
    with pytest.raises(DataError, match=r"photo\.png: 100% of it is neither black nor white"):
        MaskFromData(folder).masks((3, 8, 6))
    (folder / "photo.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"photo\.png: cannot be read as a picture"):
        MaskFromData(folder).masks((3, 8, 6))


def test_masks_that_hide_everything_or_all_nothing_are_refused(folder, tmp_path):
    write(folder, "whole.png", np.ones((8, 6)))
    with pytest.raises(DataError, match=r"whole\.png: the mask hides the whole picture; set `hidden`"):
        MaskFromData(folder).masks((3, 8, 6))
    write(folder, "whole.png", np.zeros((8, 6)))  # one picture may stay whole
    assert MaskFromData(folder).masks((3, 8, 6)).shape == (4, 1, 8, 6)
    write(tmp_path / "none", "a.png", np.zeros((8, 6)))
    with pytest.raises(DataError, match="no mask hides anything"):
        MaskFromData(tmp_path / "none").masks((3, 8, 6))


def test_holes_that_resizing_loses_are_refused(tmp_path):
    write(tmp_path, "dot.png", np.eye(64)[:1].repeat(64, 0) * np.eye(64)[:, :1])
    assert MaskFromData(tmp_path).masks((1, 64, 64)).sum() == 1
    with pytest.raises(DataError, match="no mask hides anything"):
        MaskFromData(tmp_path).masks((1, 8, 8))


def test_folders_without_masks_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        MaskFromData(tmp_path / "absent")
    with pytest.raises(DataError, match="no pictures there"):
        MaskFromData(tmp_path)


def test_a_recipe_hears_of_bad_folders_before_training(folder, tmp_path):
    assert not list(MaskFromDataOptions(folder=folder).complaints(Context()))
    (complaint,) = MaskFromDataOptions(folder=tmp_path / "absent").complaints(Context())
    assert complaint.field == "folder" and "no such folder" in complaint.message
    assert not complaint.warning
    write(tmp_path / "one", "a.png", hole(1, 1))
    (complaint,) = MaskFromDataOptions(folder=tmp_path / "one").complaints(Context())
    assert "same pixels are hidden in every picture" in complaint.message
    assert complaint.warning
    write(folder, "d.png", np.ones((8, 6)))
    with pytest.raises(DataError, match=r"d\.png"):
        COMPONENT.build(MaskFromDataOptions(folder=folder), Context(image_shape=(3, 8, 6)))
    COMPONENT.build(MaskFromDataOptions(folder=folder), Context())  # no size yet, so it cannot know


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("alone", [False, True])
def test_facts_are_those_of_what_is_built(folder, tmp_path, mirror, alone):
    if alone:
        folder = write(tmp_path / "one", "a.png", hole(1, 1)).parent
        write(folder, ".hidden.png", hole(1, 1))
        write(folder, ".thumbs/b.png", hole(1, 1))
        write(folder, "__MACOSX/a.png", hole(1, 1))
    options = MaskFromDataOptions(folder=folder, mirror=mirror, hidden="black", resize=False, fill=0.5)
    sensor, facts = COMPONENT.build(options, Context(image_shape=(3, 8, 6))), options.facts()
    assert (sensor.hidden, sensor.resize, sensor.mirror, sensor.fill) == ("black", False, mirror, 0.5)
    assert {"exact", "observed", "pixelwise"} <= facts
    assert ("random" in facts) == sensor.random == (mirror or not alone)
    assert ("flip" in facts) == ("flip" in sensor.symmetric) == mirror


@pytest.mark.parametrize("bad", [{}, {"folder": "a", "hidden": "red"}, {"folder": "a", "flip": True}])
def test_bad_options_are_refused(bad):
    with pytest.raises(ValidationError):
        MaskFromDataOptions(**bad)


def test_changed_masks_make_another_store_and_no_run_goes_on_with_them(engine, tiny, tmp_path):
    """Else the reals would have holes of the masks that were, and the fakes of those that are."""
    folder = tmp_path / "masks"
    write(folder, "a.png", np.pad(np.ones((4, 16), bool), ((0, 12), (0, 0))))
    recipe = tiny(measurement={"kind": "mask_from_data", "folder": str(folder)})
    run = engine.run(recipe, out=tmp_path / "runs", device="cpu").folder
    evaluate = {"metrics": ["hidden_psnr"], "device": "cpu"}
    assert engine.evaluate(run, **evaluate).rows
    write(folder, "a.png", np.pad(np.ones((4, 16), bool), ((12, 0), (0, 0))))
    found, sensor = prepare_data(engine.load(recipe), tmp_path / "cache")
    held = sensor.observed(sensor.sample(1, (3, 16, 16), gen()), (3, 16, 16))
    assert torch.equal(found.samples.batch(torch.arange(1), 0).observed, held)
    with pytest.raises(RunFolderError, match="sensor_files"):
        engine.resume(run, device="cpu")
    with pytest.raises(RunFolderError, match="files that its sensors read"):
        engine.evaluate(run, **evaluate)
