"""Picture files: found, framed, decoded, and refused by name."""

import os
import pickle

import numpy as np
import pytest
import torch
from ambientkit_plugins.folders import ImageFolderOptions, _build, dataset
from ambientkit_plugins.folders.pictures import Framing, _decoded, load_pixels
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ambientkit import Context, pictures
from ambientkit.errors import DataError
from ambientkit.pictures import picture_size, shows_through


def folder(root, size=None, **options):
    return _build(ImageFolderOptions(root=root, **options), Context(image_size=size))


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, pixels, **arguments):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **arguments)
    return path


@pytest.fixture
def three(tmp_path):
    for name, seed in (("b.png", 1), ("a.png", 2), ("deep/c.png", 3)):
        save(tmp_path / name, noise(12, 12, seed))
    return tmp_path


def test_keys_are_sorted_relative_paths_and_pixels_are_the_files(three):
    data = folder(three)
    assert list(data.keys) == ["a.png", "b.png", "deep/c.png"]
    assert data.image_shape == (3, 12, 12) and len(data) == 3 and not data.skipped
    images = data.images([2, 0])
    assert images.dtype == torch.uint8
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), noise(12, 12, 3))
    assert np.array_equal(images[1].permute(1, 2, 0).numpy(), noise(12, 12, 2))


def test_recursion_is_an_option_and_dot_files_are_left_out(three):
    save(three / ".hidden.png", noise(12, 12))
    save(three / ".cache/x.png", noise(12, 12))
    (three / "notes.txt").write_text("no picture")
    assert list(folder(three, recursive=False).keys) == ["a.png", "b.png"]
    assert len(folder(three)) == 3


def test_home_folder_is_expanded(three, monkeypatch):
    monkeypatch.setenv("HOME", str(three))
    assert len(folder("~/deep")) == 1


@pytest.mark.parametrize(
    ("options", "size", "shape"),
    [
        ({}, None, (20, 20)),
        ({"crop": "none"}, None, (20, 40)),
        ({"crop": "none", "crop_fraction": 0.5}, None, (10, 20)),
        ({"crop_fraction": 0.5}, None, (10, 10)),
        ({"crop": "center"}, (8, 12), (8, 12)),
        ({"crop": "none"}, (7, 5), (7, 5)),
    ],
)
def test_shapes_of_crops(tmp_path, options, size, shape):
    save(tmp_path / "a.png", noise(20, 40))
    data = folder(tmp_path, size, **options)
    assert data.image_shape[1:] == shape == tuple(data.images([0]).shape[2:])


@given(
    st.sampled_from(["none", "square", "center"]),
    st.floats(0.01, 1),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_a_cut_lies_within_the_picture_and_in_its_middle(crop, fraction, natural, wanted):
    framing = Framing(crop, fraction, wanted)
    left, top, right, bottom = framing.box(*natural)
    assert 0 <= left < right <= natural[1] and 0 <= top < bottom <= natural[0]
    assert abs(left - (natural[1] - right)) <= 1 and abs(top - (natural[0] - bottom)) <= 1
    if crop == "square":
        assert right - left == bottom - top


def test_a_central_crop_keeps_the_pixels(tmp_path):
    pixels = noise(20, 40)
    save(tmp_path / "a.png", pixels)
    image = folder(tmp_path).images([0])[0].permute(1, 2, 0).numpy()
    assert np.array_equal(image, pixels[:, 10:30])


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    save(tmp_path / "a.png", stripes)
    assert (folder(tmp_path, (16, 16)).images([0]).float() - 127.5).abs().max() < 12


def photograph(height, width):
    """Soft colours and some grain."""
    soft = Image.fromarray(noise(height // 20, width // 20)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(soft) * 0.8 + noise(height, width, 1) * 0.2, 0, 255).astype(np.uint8)


def exactly(path, framing):
    """What `load_pixels` gives, from the picture in all its size."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        box, (height, width) = framing.box(upright.height, upright.width), framing.size
        pixels = np.asarray(upright.resize((width, height), Image.Resampling.BICUBIC, box=box))
        return pixels.transpose(2, 0, 1).astype(int)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("crop", ["none", "square", "center"])
def test_a_large_jpeg_is_decoded_smaller_with_the_same_pixels(tmp_path, crop, orientation):
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = save(tmp_path / "a.jpg", photograph(480, 640), exif=exif)
    framing = Framing(crop=crop, fraction=0.9, size=(24, 24))
    decoded, natural = _decoded(path, framing, None)
    assert decoded.size == ((160, 120) if orientation != 6 else (120, 160))
    assert natural == ((480, 640) if orientation != 6 else (640, 480))
    apart = np.abs(load_pixels(path, framing).astype(int) - exactly(path, framing))
    assert apart.max() <= 3 and apart.mean() < 0.4


def late(path):
    """Move a PNG's EXIF data behind its pixels, as the standard allows."""
    head, chunks, place = path.read_bytes()[:8], [], 8
    content = path.read_bytes()
    while place < len(content):
        end = place + 12 + int.from_bytes(content[place : place + 4], "big")
        chunks.append(content[place:end])
        place = end
    chunks.sort(key=lambda chunk: (chunk[4:8] == b"IEND", chunk[4:8] == b"eXIf"))
    path.write_bytes(head + b"".join(chunks))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("size", [(16, 16), (20, 10)])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "late.png", "a.webp"])
def test_every_kind_of_file_is_framed_as_it_is_shown(tmp_path, name, size, orientation):
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = save(tmp_path / name, noise(40, 80), exif=exif, **({"lossless": True} if "webp" in name else {}))
    if name == "late.png":
        late(path)
    framing = Framing(crop="center", size=size)
    turned = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
    upright = save(tmp_path / "upright.png", np.rot90(noise(40, 80), turned).copy())
    assert np.array_equal(load_pixels(path, framing), load_pixels(upright, framing))
    if name != "late.png":
        assert picture_size(path) == picture_size(upright) == folder(path.parent, crop="none").image_shape[1:]


@pytest.mark.parametrize(
    ("name", "shape", "size", "part"),
    [
        ("a.jpg", (480, 640), (64, 64), 2),
        ("a.jpg", (480, 640), (90, 90), 1),  # less than three times as many would be left at half the size
        ("a.jpg", (481, 640), (16, 16), 1),  # the last row would be made up
        ("a.png", (480, 640), (16, 16), 1),
        ("a.jpg", (800, 800), (16, 16), 8),
    ],
)
def test_pictures_are_decoded_smaller_where_nothing_is_lost(tmp_path, name, shape, size, part):
    path = save(tmp_path / name, photograph(*shape))
    decoded, natural = _decoded(path, Framing(crop="square", size=size), None)
    assert natural == shape and (decoded.height, decoded.width) == (shape[0] // part, shape[1] // part)


def test_threads_give_results_and_errors_in_the_order_of_the_places():
    def work(place):
        if place == 30:
            raise ValueError("30")
        return place

    assert list(dataset.in_threads(work, range(29))) == list(range(29))
    assert list(dataset.in_threads(work, [])) == []
    found = dataset.in_threads(work, range(100))
    assert [next(found) for _ in range(24)] == list(range(24))
    with pytest.raises(ValueError, match="30"):
        list(found)


def test_sizes_that_differ_need_image_size(three):
    save(three / "wide.png", noise(12, 20))
    with pytest.raises(DataError, match=r"a\.png is 12 x 12, wide\.png is 12 x 20.*data\.image_size"):
        folder(three, crop="none")
    assert folder(three, (6, 6), crop="none").images([0, 3]).shape == (2, 3, 6, 6)


def test_exif_orientation_is_applied(tmp_path):
    pixels = noise(8, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a.png", pixels, exif=exif)
    data = folder(tmp_path, crop="none")
    assert data.image_shape == (3, 16, 8)
    assert np.array_equal(data.images([0])[0].permute(1, 2, 0).numpy(), np.rot90(pixels, -1))


def test_transparent_pixels_show_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    save(tmp_path / "a.png", pixels)
    image = folder(tmp_path).images([0])[0]
    assert (image[:, :2] == 0).all() and (image[:, 2:] == 255).all()


@pytest.mark.parametrize(("alpha", "said"), [(0, True), (127, True), (200, False)])
def test_transparent_pictures_are_warned_of(tmp_path, caplog, alpha, said):
    """They may be what the sensor lost; a little of it, as soft edges have, is not."""
    pixels = np.full((4, 4, 4), 255, np.uint8)
    save(tmp_path / "a.png", pixels)
    pixels[:2, :, 3] = alpha
    save(tmp_path / "b.png", pixels)
    folder(tmp_path)
    assert ("b.png is transparent" in caplog.text and "alpha: true" in caplog.text) == said


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    grey = np.repeat(np.uint8([[[0]], [[255]]]), 4, axis=0).repeat(8, axis=1)
    picture = Image.fromarray(np.repeat(grey, 3, axis=2)).convert(mode)
    picture.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"))
    image = folder(tmp_path).images([0])[0]
    assert image.shape == (3, 8, 8) and image[:, :4].max() < 5 and image[:, 4:].min() > 250


def test_sixteen_bits_are_scaled_to_eight(tmp_path):
    save(tmp_path / "a.png", np.uint16([[0, 257], [32768, 65535]]))
    assert folder(tmp_path, channels=1).images([0])[0].tolist() == [[[0, 1], [128, 255]]]


def test_floating_point_pixels_are_refused(tmp_path):
    save(tmp_path / "a.tif", np.ones((4, 4), np.float32))
    with pytest.raises(DataError, match=r"a\.tif.*floating-point"):
        folder(tmp_path).images([0])


def test_grey_on_demand(three):
    assert folder(three, channels=1).images([0]).shape == (1, 1, 12, 12)


def damage(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_file_that_is_no_picture_fails_at_the_start_or_is_skipped(three):
    (three / "bad.jpg").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.jpg: cannot be read as a picture: it is none"):
        folder(three)
    data = folder(three, on_bad_image="skip")
    assert data.skipped == ["bad.jpg"] and "bad.jpg" not in data.keys and len(data) == 3


def test_a_truncated_file_fails_when_read_or_is_skipped_at_the_start(three):
    damage(save(three / "half.png", noise(40, 40)))
    data = folder(three, (8, 8))
    with pytest.raises(DataError, match=r"half\.png: cannot be read"):
        data.images(range(len(data)))
    skipping = folder(three, (8, 8), on_bad_image="skip")
    assert skipping.skipped == ["half.png"] and skipping.images(range(3)).shape == (3, 3, 8, 8)


def test_nothing_readable_is_refused(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="none of its 1 pictures can be read"):
        folder(tmp_path, on_bad_image="skip")


def test_pictures_of_too_many_pixels_are_refused(three, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_MEGAPIXELS", 100e-6)
    with pytest.raises(DataError, match=r"a\.png: .*12 x 12 is more than 0\.0001 megapixels"):
        folder(three)


def test_empty_and_missing_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no pictures there"):
        folder(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        folder(tmp_path / "nowhere")


def test_a_file_that_changed_its_size_is_noticed(three):
    data = folder(three)
    save(three / "a.png", noise(5, 5))
    with pytest.raises(DataError, match=r"a\.png: has changed"):
        data.images([0])


def test_fingerprint_follows_files_and_framing(three):
    first = folder(three).fingerprint
    assert folder(three).fingerprint == first
    assert folder(three, (6, 6)).fingerprint != first
    os.utime(three / "a.png", ns=(1, 1))
    assert folder(three).fingerprint == first, "a copy has other times, and is the same data"
    (three / "b.png").write_bytes(flipped((three / "b.png").read_bytes()))
    assert folder(three).fingerprint != first


def flipped(content: bytes) -> bytes:
    """The same length, another last byte."""
    return content[:-1] + bytes([content[-1] ^ 1])


def test_fingerprint_looks_at_both_ends_of_a_large_file(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "SEEN_OF_A_FILE", 128)
    save(tmp_path / "large.png", noise(40, 40))
    first, content = folder(tmp_path).fingerprint, (tmp_path / "large.png").read_bytes()
    (tmp_path / "large.png").write_bytes(flipped(content))
    assert folder(tmp_path).fingerprint != first
    (tmp_path / "large.png").write_bytes(content + b" ")
    assert folder(tmp_path).fingerprint != first


def test_transparent_levels_of_sixteen_bits_are_not_told_of_for_they_are_not_read(tmp_path):
    deep = Image.fromarray(np.full((4, 4), 7, np.uint16))
    deep.save(tmp_path / "deep.png", transparency=7)
    with Image.open(tmp_path / "deep.png") as picture:
        assert picture.has_transparency_data and not shows_through(tmp_path / "deep.png")


def test_a_changed_part_in_the_middle_of_an_uncompressed_picture_makes_other_data(tmp_path):
    grey = noise(400, 400)
    save(tmp_path / "scan.tif", grey)
    first, length = folder(tmp_path).fingerprint, (tmp_path / "scan.tif").stat().st_size
    grey[150:250] = 0
    save(tmp_path / "scan.tif", grey)
    assert length == (tmp_path / "scan.tif").stat().st_size > 1 << 17
    assert folder(tmp_path).fingerprint != first


def test_it_survives_pickling(three):
    data = folder(three)
    assert torch.equal(pickle.loads(pickle.dumps(data)).images([1]), data.images([1]))


def test_complaints_about_crops(tmp_path):
    center = ImageFolderOptions(root=tmp_path, crop="center").complaints(Context())
    assert [c.field for c in center] == ["crop"]
    stretched = list(ImageFolderOptions(root=tmp_path).complaints(Context(image_size=(4, 8))))
    assert stretched[0].warning and "stretched" in stretched[0].message
    assert not list(ImageFolderOptions(root=tmp_path).complaints(Context(image_size=(8, 8))))
