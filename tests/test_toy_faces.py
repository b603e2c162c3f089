"""Toy faces: deterministic, of any size, with structure that classical inpainting cannot fill."""

import pickle

import cv2
import numpy as np
import pytest
import torch
from ambientkit_plugins.faces import ToyFacesOptions, _build
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientkit import Context
from ambientkit.errors import DataError


def faces(size=(64, 64), **options):
    return _build(ToyFacesOptions(**options), Context(image_size=size))


def psnr(mse):
    return -10 * np.log10(mse)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(16, 70), st.integers(16, 70))
def test_every_size_gives_pictures_with_content(seed, height, width):
    pictures = faces((height, width), seed=seed, count=2).images([0, 1])
    assert pictures.shape == (2, 3, height, width) and pictures.dtype == torch.uint8
    assert pictures.float().std(dim=(1, 2, 3)).min() > 8
    assert not torch.equal(pictures[0], pictures[1])


def test_a_picture_depends_on_seed_and_index_alone():
    few, many = faces(count=10, seed=5), faces(count=1000, seed=5)
    together = many.images([7, 3, 900])
    assert torch.equal(few.images([3])[0], together[1])
    assert torch.equal(few.images([7])[0], together[0])
    assert not torch.equal(faces(count=10, seed=6).images([3])[0], together[1])


def test_drawing_leaves_the_global_random_state_alone():
    before, state = np.random.get_state()[1].copy(), torch.get_rng_state()
    faces().images([0])
    assert np.array_equal(before, np.random.get_state()[1]) and torch.equal(state, torch.get_rng_state())


def test_the_same_person_at_another_size():
    small = faces((32, 32)).images(range(8)).float()
    large = faces((128, 128)).images(range(8)).float()
    shrunk = torch.nn.functional.interpolate(large, size=(32, 32), mode="area")
    assert (small - shrunk).abs().mean() < 8  # of 255; two different people differ by about 60


def test_keys_and_natural_size():
    data = faces(None, count=18)
    assert data.keys[17] == "toy-00017" and len(data) == 18 and data.image_shape == (3, 64, 64)
    assert len(set(data.keys)) == 18


def test_fingerprint_follows_everything_that_changes_pictures():
    variants = [faces(), faces(seed=1), faces(count=3), faces((64, 32)), faces((32, 64))]
    assert len({variant.fingerprint for variant in variants}) == len(variants)
    assert faces().fingerprint == faces().fingerprint


def test_the_drawing_code_has_not_changed_without_a_new_version():
    # A change here needs a new VERSION in portrait.py, or old stores would be taken for new ones.
    from ambientkit_plugins.faces.portrait import VERSION

    reds = faces((64, 64), seed=0).images(range(2))[:, 0, 8::16, 8::16].flatten(1).int()
    first = [148, 113, 106, 174, 175, 55, 65, 71, 138, 185, 137, 129, 128, 131, 102, 127]
    second = [151, 178, 186, 129, 190, 160, 71, 139, 202, 233, 214, 126, 117, 186, 166, 64]
    assert VERSION == 3
    assert (reds - reds.new_tensor([first, second])).abs().max() <= 1  # processors round differently


@pytest.mark.parametrize("size", [(15, 64), (64, 8)])
def test_sizes_too_small_are_refused(size):
    complaints = list(ToyFacesOptions().complaints(Context(image_size=size)))
    assert len(complaints) == 1 and "16 pixels" in complaints[0].message


def test_an_index_that_is_not_there_is_refused():
    with pytest.raises(DataError, match="pictures 0 to 3, not 4"):
        faces(count=4).images([4])
    with pytest.raises(DataError, match="not -1"):
        faces(count=4).images([-1])


def test_it_survives_pickling():
    data = faces(count=4)
    assert torch.equal(pickle.loads(pickle.dumps(data)).images([2]), data.images([2]))


def hidden_psnr_of(fill, pictures):
    places = np.random.default_rng(1).integers(0, 37, (len(pictures), 2))
    values = []
    for picture, (row, column) in zip(pictures, places, strict=True):
        hidden = np.zeros((64, 64), np.uint8)
        hidden[row : row + 28, column : column + 28] = 1
        made = fill(np.where(hidden[..., None], 255, picture).astype(np.uint8), hidden)
        error = (made.astype(float) - picture)[hidden.astype(bool)] / 255
        values.append(psnr((error**2).mean()))
    return float(np.mean(values))


def test_classical_inpainting_neither_solves_nor_fails_it():
    pictures = faces().images(range(256)).numpy().transpose(0, 2, 3, 1)
    telea = hidden_psnr_of(lambda y, hidden: cv2.inpaint(y, hidden, 3, cv2.INPAINT_TELEA), pictures)
    assert 16.0 < telea < 18.5


def test_noise_that_nothing_could_predict_is_far_below_the_structure():
    from ambientkit_plugins.faces.portrait import draw_portrait
    from ambientkit_plugins.faces.traits import draw_traits

    traits = [draw_traits(0, index) for index in range(32)]
    first = np.stack([draw_portrait(t, 64, 64) for t in traits]).astype(float)
    again = np.stack([draw_portrait(_other_grain(t), 64, 64) for t in traits]).astype(float)
    noise = ((first - again) ** 2).mean() / 2 / 255**2
    assert noise > 0 and psnr(noise) > 38


def _other_grain(traits):
    from dataclasses import replace

    return replace(traits, grain_seed=(1, 1))


def test_the_other_eye_tells_what_a_hidden_eye_looks_like():
    # Eyes are mirrored: with the head upright and facing us, a picture and its mirror image agree there.
    from dataclasses import replace

    from ambientkit_plugins.faces.portrait import draw_portrait
    from ambientkit_plugins.faces.traits import draw_traits

    traits = draw_traits(0, 3)
    upright = replace(traits.pose, x=0.0, tilt=0.0, yaw=0.0, light=(0.0, -0.3, 0.9))
    straight = replace(traits.features, gaze=0.0)
    picture = draw_portrait(replace(traits, pose=upright, features=straight), 64, 64).astype(float)
    row = picture[:, round(32 + 32 * (upright.y - 0.06 * upright.scale))]
    left, right = row[:, 21:28], row[:, 36:43][:, ::-1]
    assert left.std() > 30
    assert np.abs(left - right).mean() < 6  # the grain of two places
