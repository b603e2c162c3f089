"""Pictures that arrive incomplete: masks from everywhere, nothing of the hidden pixels left."""

import os
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from ambientkit_plugins.incomplete import IncompleteOptions, _build
from ambientkit_plugins.incomplete.dataset import dilated
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ambientkit import Context
from ambientkit.arrived import _warn_of
from ambientkit.errors import DataError

SECRET = 201  # what hidden pixels hold; no known pixel does


def open_(source, size=None, **options):
    options = IncompleteOptions(source=source, **options)
    assert not list(options.complaints(Context(image_size=size)))
    return _build(options, Context(image_size=size))


@pytest.fixture
def hidden():
    masks = np.zeros((3, 10, 12), bool)
    for index in range(3):
        masks[index, 2 + index : 6 + index, 3:7] = True
    return masks


@pytest.fixture
def images(hidden):
    pixels = np.random.default_rng(0).integers(0, 200, (3, 10, 12, 3), dtype=np.uint8)
    pixels[hidden] = SECRET
    return pixels


def store(path, **arrays):
    np.savez(path, **arrays)
    return path


def write_folder(root, images, hidden, white=255):
    for index, (image, mask) in enumerate(zip(images, hidden, strict=True)):
        for place, pixels in (("pictures", image), ("masks", np.uint8(mask) * white)):
            (root / place).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(root / place / f"{index}.png")
    return root / "pictures", root / "masks"


def check(data, images, hidden):
    """`data` holds these pictures with these holes, and nothing of what was in them."""
    measured = data.measured(range(len(images)))
    assert measured.observed.shape == (len(images), 1, *hidden.shape[1:])
    assert np.array_equal(measured.observed[:, 0].numpy(), ~hidden)
    assert torch.equal(data.data_masks, ~measured.observed) and measured.known is None
    y = measured.y.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(y[~hidden], images[~hidden]) and (y[hidden] == 0).all()
    assert SECRET not in y


@pytest.mark.parametrize("invert", [False, True])
def test_npz_with_either_kind_of_mask(tmp_path, images, hidden, invert):
    masks = {"observed": ~hidden} if invert else {"hidden": hidden}
    data = open_(store(tmp_path / "a.npz", images=images, **masks))
    assert data.arrives_measured and data.image_shape == (3, 10, 12) and data.keys[2] == "000002"
    check(data, images, hidden)
    assert data.measured([0]).y.dtype == torch.uint8
    with pytest.raises(TypeError, match="no clean images"):
        data.images([0])


@pytest.mark.parametrize("invert", [False, True])
def test_npy_with_masks(tmp_path, images, hidden, invert):
    np.save(tmp_path / "a.npy", images)
    np.save(tmp_path / "m.npy", hidden != invert)
    check(open_(tmp_path / "a.npy", masks=tmp_path / "m.npy", invert=invert), images, hidden)


def test_key_colour_in_arrays(tmp_path, images, hidden):
    np.save(tmp_path / "a.npy", images)
    check(open_(tmp_path / "a.npy", key_colour="#c9c9c9"), images, hidden)
    check(open_(store(tmp_path / "a.npz", images=images), key_colour="#cacaca", tolerance=1), images, hidden)


def test_grey_arrays(tmp_path, images, hidden):
    data = open_(store(tmp_path / "a.npz", images=images[..., 0], hidden=hidden))
    assert data.image_shape == (1, 10, 12)
    check(data, images[..., :1], hidden)


def test_float_arrays_become_minus_one_to_one(tmp_path, images, hidden):
    values = images.astype(np.float64) / 255
    values[hidden] = np.nan  # hidden pixels may hold anything
    data = open_(store(tmp_path / "a.npz", images=values, hidden=hidden), value_range=(0, 1))
    y = data.measured([0, 1, 2]).y.permute(0, 2, 3, 1).numpy()
    assert y.dtype == np.float32 and (y[hidden] == 0).all()
    assert np.allclose(y[~hidden], images[~hidden] / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("invert", [False, True])
def test_folder_with_masks(tmp_path, images, hidden, invert):
    pictures, masks = write_folder(tmp_path, images, hidden != invert)
    data = open_(pictures, masks=masks, invert=invert)
    assert list(data.keys) == ["0.png", "1.png", "2.png"]
    check(data, images, hidden)


def test_masks_within_the_folder_are_no_pictures(tmp_path, images, hidden):
    pictures, masks = write_folder(tmp_path, images, hidden)
    masks = masks.rename(pictures / "masks")
    check(open_(pictures, masks=masks), images, hidden)


def test_alpha(tmp_path, images, hidden):
    for index in range(3):
        alpha = np.where(hidden[index], 0, 255).astype(np.uint8)
        Image.fromarray(np.dstack([images[index], alpha])).save(tmp_path / f"{index}.png")
    check(open_(tmp_path, alpha=True), images, hidden)


def test_key_colour_in_a_folder(tmp_path, images, hidden):
    pictures, _ = write_folder(tmp_path, images, hidden)
    check(open_(pictures, key_colour="#c8c8c8", tolerance=1), images, hidden)


def test_grey_pictures_have_one_channel(tmp_path, images, hidden):
    pictures, masks = write_folder(tmp_path, images[..., 0], hidden)
    check(open_(pictures, masks=masks), images[..., :1], hidden)


@pytest.mark.parametrize("pixels", [1, 2])
def test_dilated_pixels_are_hidden_and_wiped(tmp_path, images, hidden, pixels):
    data = open_(store(tmp_path / "a.npz", images=images, hidden=hidden), dilate=pixels)
    grown = hidden.copy()
    for index in range(3):
        grown[index, max(0, 2 + index - pixels) : 6 + index + pixels, 3 - pixels : 7 + pixels] = True
    check(data, images, grown)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_dilation_is_the_chebyshev_distance(seed, pixels):
    hidden = np.random.default_rng(seed).random((9, 11)) < 0.05
    rows, columns = np.nonzero(hidden)
    expected = np.zeros_like(hidden)
    for row, column in zip(rows, columns, strict=True):
        expected[max(0, row - pixels) : row + pixels + 1, max(0, column - pixels) : column + pixels + 1] = (
            True
        )
    grown = dilated(torch.from_numpy(hidden)[None, None], pixels)
    assert np.array_equal(grown[0, 0].numpy(), expected)


def test_order_and_fingerprint(tmp_path, images, hidden):
    data = open_(store(tmp_path / "a.npz", images=images, hidden=hidden))
    both = data.measured([2, 0])
    assert torch.equal(both.y[0], data.measured([2]).y[0])
    again = open_(store(tmp_path / "b.npz", images=images, hidden=hidden))
    other = open_(tmp_path / "b.npz", dilate=1)
    assert data.fingerprint == again.fingerprint != other.fingerprint
    images[hidden] = 7  # hidden pixels are wiped, so they cannot matter
    assert open_(store(tmp_path / "c.npz", images=images, hidden=hidden)).fingerprint == data.fingerprint


def test_whole_pictures_are_welcome_beside_others(tmp_path, images, hidden):
    hidden[1] = False
    images[1] = 7
    check(
        open_(store(tmp_path / "a.npz", images=images, hidden=hidden)),
        images,
        hidden,
    )


def test_pictures_are_never_resized(tmp_path, images, hidden):
    path = store(tmp_path / "a.npz", images=images, hidden=hidden)
    assert len(open_(path, (10, 12))) == 3
    with pytest.raises(DataError, match=r"20 x 24.*10 x 12.*mix hidden pixels"):
        open_(path, (20, 24))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "no `images`"),
        ({"hidden": None}, "exactly one of the arrays"),
        ({"observed": np.ones((3, 10, 12), bool)}, "exactly one of the arrays"),
        ({"hidden": np.zeros((3, 10, 12), bool)}, "nothing is hidden"),
        ({"hidden": np.ones((3, 10, 12), bool)}, "3 pictures are hidden altogether, 000000"),
        ({"hidden": np.zeros((3, 12, 10), bool)}, "must agree"),
        ({"hidden": np.zeros((3, 10, 12), np.uint8)}, "must be bool, not uint8"),
        ({"images": np.zeros((3, 10, 12, 4), np.uint8)}, "with C 1 or 3"),
        ({"images": np.zeros((3, 10, 12), np.int32)}, "int32"),
        ({"images": np.zeros((3, 10, 12), np.float32)}, "value_range"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, images, hidden, change, message):
    arrays = {"images": images, "hidden": hidden} | change
    path = store(tmp_path / "a.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=rf"a\.npz.*{message}"):
        open_(path)


def test_known_values_outside_the_range_are_refused(tmp_path, images, hidden):
    values = images / 255.0
    values[1, 0, 0] = 1.5
    with pytest.raises(DataError, match="picture 1 has known pixels outside"):
        open_(store(tmp_path / "a.npz", images=values, hidden=hidden), value_range=(0, 1))
    with pytest.raises(DataError, match="remove `value_range`"):
        open_(store(tmp_path / "b.npz", images=images, hidden=hidden), value_range=(0, 1))


def test_pickled_objects_are_refused(tmp_path, hidden):
    np.savez(tmp_path / "a.npz", images=np.array([{"run": "me"}], dtype=object), hidden=hidden)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read"):
        open_(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"not a zip file")
    with pytest.raises(DataError, match=r"b\.npz: cannot be read"):
        open_(tmp_path / "b.npz")


def test_masks_that_do_not_fit_are_named(tmp_path, images, hidden):
    pictures, masks = write_folder(tmp_path, images, hidden)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(masks / "1.png")
    with pytest.raises(DataError, match=r"masks/1\.png: the mask is 4 x 5.*10 x 12"):
        open_(pictures, masks=masks)
    Image.fromarray(np.full((10, 12), 128, np.uint8)).save(masks / "1.png")
    with pytest.raises(DataError, match=r"masks/1\.png: 100% of it is neither"):
        open_(pictures, masks=masks)
    (masks / "1.png").unlink()
    with pytest.raises(
        DataError, match=r"pictures/1\.png: needs one mask of the name '1', found none in .*, where .* '0'"
    ):
        open_(pictures, masks=masks)


def test_two_pictures_do_not_share_a_mask_in_silence(tmp_path, images, hidden):
    pictures, masks = write_folder(tmp_path, images, hidden)
    Image.fromarray(images[0]).save(pictures / "1.jpg")
    with pytest.raises(DataError, match=r"1\.jpg: 1\.png has the same name but for the suffix, so one mask"):
        open_(pictures, masks=masks)
    assert len(open_(pictures, key_colour="#c9c9c9", tolerance=9)) == 4


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_is_one_however_it_is_written(tmp_path, images, hidden, forms):
    folders = write_folder(tmp_path, images, hidden)
    for folder, form in zip(folders, forms, strict=True):
        (folder / "1.png").rename(folder / f"{normalize(form, 'é')}.png")
    check(open_(folders[0], masks=folders[1]), images[[0, 2, 1]], hidden[[0, 2, 1]])


def test_other_problems_of_folders_are_named(tmp_path, images, hidden):
    pictures, _ = write_folder(tmp_path, images, hidden)
    with pytest.raises(DataError, match=r"0\.png: has no alpha"):
        open_(pictures, alpha=True)
    deep = tmp_path / "deep"
    deep.mkdir()
    Image.fromarray(images[0][..., 0].astype(np.uint16) * 257).save(deep / "a.png", transparency=0)
    with pytest.raises(DataError, match=r"a\.png: has 16 bits, whose alpha is not read"):
        open_(deep, alpha=True)
    with pytest.raises(DataError, match="no pixel is #010203; raise `tolerance`"):
        open_(pictures, key_colour="#010203")
    with pytest.raises(DataError, match="must be another folder"):
        open_(pictures, masks=pictures)
    Image.fromarray(images[0][:8]).save(pictures / "2.png")
    with pytest.raises(DataError, match=r"0\.png is 10 x 12, 2\.png is 8 x 12"):
        open_(pictures, key_colour="#c9c9c9")
    with pytest.raises(DataError, match="there is no such file or folder"):
        open_(tmp_path / "nowhere", alpha=True)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"source": "folder"}, ""),
        ({"source": "a.npy"}, ""),
        ({"source": "folder", "alpha": True, "key_colour": "#000000"}, ""),
        ({"source": "a.npz", "alpha": True}, "alpha"),
        ({"source": "a.npz", "masks": "m"}, "masks"),
        ({"source": "folder", "alpha": True, "invert": True}, "invert"),
        ({"source": "folder", "alpha": True, "tolerance": 3}, "tolerance"),
        ({"source": "folder", "alpha": True, "value_range": (0, 1)}, "value_range"),
        ({"source": "a.npz", "value_range": (1, 0)}, "value_range"),
    ],
)
def test_options_that_cannot_work_are_complained_about(options, field):
    complaints = list(IncompleteOptions(**options).complaints(Context()))
    assert [complaint.field for complaint in complaints] == [field]
    assert not list(IncompleteOptions(source="a.npz").complaints(Context()))


def test_it_declares_measured_pictures():
    assert IncompleteOptions(source="a.npz").facts() == {"measured", "observed"}


def test_faces_that_are_really_incomplete():
    path = Path(os.environ.get("AMBIENTKIT_TEST_DATA", "")) / "celeba_incomplete_64.npz"
    if not path.is_file():
        pytest.skip("AMBIENTKIT_TEST_DATA does not name a folder with celeba_incomplete_64.npz")
    data = open_(path, (64, 64), dilate=2)
    assert len(data) == 1280 and data.image_shape == (3, 64, 64)
    measured = data.measured(range(64))
    areas = (~measured.observed).flatten(1).sum(1)
    assert areas.min() >= 28 * 28 and areas.max() <= 33 * 33
    assert not measured.y.masked_select(~measured.observed).any()


@pytest.mark.parametrize(
    ("hide", "told"),
    [
        ("one place", "cannot be learnt"),
        ("most", "turn them round (data.source.invert"),
        ("a row each", ""),
        ("no place", "nothing is hidden"),
    ],
)
def test_masks_that_leave_something_out_or_look_inverted_are_warned_of(caplog, hide, told):
    seen = torch.ones(40, 1, 8, 8, dtype=torch.bool)
    for row, mask in enumerate(seen):
        mask[:, row % 8] = False
    if hide == "one place":
        seen[..., 2:4, 2:4] = False
    _warn_of({"most": seen, "no place": seen & False}.get(hide, ~seen))
    assert [told in record.message for record in caplog.records] == ([True] if told else [])
