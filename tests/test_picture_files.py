"""Picture files: where the hole is told, what is kept, and what is never written over."""

from __future__ import annotations

import os
import struct
import zlib
from itertools import islice
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import torch
from ambientkit_plugins.folders.dataset import find_pictures as find_folder_pictures
from ambientkit_plugins.incomplete import IncompleteOptions
from ambientkit_plugins.incomplete.dataset import open_incomplete
from PIL import Image
from torch import nn

from ambientkit import Generator
from ambientkit.completion import TrainedRun
from ambientkit.errors import DataError
from ambientkit.machine import choose
from ambientkit.picture_files import MaskSource, complete_files, find_pictures, save_pictures


class Black(nn.Module, Generator):
    """Fills with black, or with a grey that the latent chooses."""

    multiple = 4

    def __init__(self, latent: bool = False) -> None:
        super().__init__()
        self.latent = latent

    def latent_shape(self, image_shape):
        return (1,) if self.latent else None

    def forward(self, measured, latent):
        made = torch.full_like(measured.y, -1.0)
        return made if latent is None else (made * 0 + latent.view(-1, 1, 1, 1)).tanh()


@pytest.fixture
def run() -> TrainedRun:
    return TrainedRun(Black(), choose("cpu", "fp32"), (3, 16, 16), 1.0, Path("run"))


def pixels(height: int = 9, width: int = 14) -> np.ndarray:
    return np.random.default_rng(height).integers(1, 256, (height, width, 3), dtype=np.uint8)


def hole(height: int = 9, width: int = 14) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[2:5, 3:7] = True
    return mask


def save(path: Path, array: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def complete(run, pictures, out, **source) -> list:
    return list(complete_files(run, pictures, out, MaskSource(**source)))


def check(done, array: np.ndarray, hidden: np.ndarray) -> None:
    """Observed pixels are kept to the bit, the hole is black, and the mask says where it is."""
    result = read(done.written[0])
    assert result.shape == array.shape
    assert (result[~hidden] == array[~hidden]).all()
    assert (result[hidden] == 0).all()
    assert (read(done.mask) == hidden * 255).all()
    assert done.made == pytest.approx(hidden.mean())


# Where the hole is told -------------------------------------------------------------------------


def test_one_mask_file_for_all(run, tmp_path):
    pictures = [save(tmp_path / f"{name}.png", pixels()) for name in "ab"]
    mask = save(tmp_path / "mask.png", np.where(hole(), 255, 0).astype(np.uint8))
    done = complete(run, pictures, tmp_path / "out", masks=mask)
    assert [d.written[0].name for d in done] == ["a.png", "b.png"]
    for each in done:
        check(each, pixels(), hole())


def test_a_folder_of_masks_by_name(run, tmp_path):
    save(tmp_path / "in" / "deep" / "a.png", pixels())
    save(tmp_path / "masks" / "deep" / "a.bmp", hole().astype(np.uint8) * 255)
    (done,) = complete(run, [tmp_path / "in"], tmp_path / "out", masks=tmp_path / "masks")
    assert done.written == (tmp_path / "out" / "deep" / "a.png",)
    assert done.mask == tmp_path / "out" / "deep" / "a.mask.png"
    check(done, pixels(), hole())


def test_no_mask_or_two_of_the_name_are_said(run, tmp_path):
    picture = save(tmp_path / "a.png", pixels())
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"masks: has no mask of the name 'a'"):
        complete(run, [picture], tmp_path / "out", masks=tmp_path / "masks")
    for suffix in ("png", "bmp"):
        save(tmp_path / "masks" / f"a.{suffix}", hole().astype(np.uint8))
    with pytest.raises(DataError, match=r"has 2 masks of the name 'a'"):
        complete(run, [picture], tmp_path / "out", masks=tmp_path / "masks")


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_is_one_however_it_is_written(run, tmp_path, forms):
    picture, mask = (normalize(form, "é") for form in forms)
    places = [Path(f"{name}.png") for name in (picture, f"{picture}/a", f"{picture}/deep/{picture}")]
    for place in places:
        save(tmp_path / "in" / place, pixels())
        other = Path(str(place).replace(picture, mask))
        save(tmp_path / "masks" / other, np.uint8(hole()) * 255)
    done = complete(run, [tmp_path / "in"], tmp_path / "out", masks=tmp_path / "masks")
    assert len(done) == 3
    for each in done:
        check(each, pixels(), hole())


def test_a_link_to_a_folder_above_does_not_hide_masks_or_go_round(run, tmp_path):
    save(tmp_path / "in" / "c" / "a.png", pixels())
    save(tmp_path / "masks" / "c" / "a.png", np.uint8(hole()) * 255)
    for name in ("one", "other"):
        (tmp_path / "masks" / "c" / name).symlink_to(tmp_path / "masks")
    (done,) = complete(run, [tmp_path / "in"], tmp_path / "out", masks=tmp_path / "masks")
    check(done, pixels(), hole())


def test_masks_that_came_since_and_in_linked_folders_are_found(run, tmp_path):
    picture, source = save(tmp_path / "in" / "c" / "a.png", pixels()), MaskSource(masks=tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"has no mask of the name 'a'"):
        list(complete_files(run, [tmp_path / "in"], tmp_path / "out", source))
    save(tmp_path / "elsewhere" / "a.png", hole().astype(np.uint8) * 255)
    (tmp_path / "masks" / "c").symlink_to(tmp_path / "elsewhere")
    (done,) = complete_files(run, [tmp_path / "in"], tmp_path / "out", source)
    assert done.source == picture
    check(done, pixels(), hole())


def test_alpha(run, tmp_path):
    alpha = np.where(hole(), 127, 128).astype(np.uint8)
    picture = save(tmp_path / "a.png", np.dstack([pixels(), alpha]))
    (done,) = complete(run, [picture], tmp_path / "out", alpha=True)
    check(done, pixels(), hole())
    with pytest.raises(DataError, match=r"b\.png: has no alpha channel"):
        complete(run, [save(tmp_path / "b.png", pixels())], tmp_path / "out", alpha=True)


def test_a_palette_with_a_transparent_colour_has_alpha(run, tmp_path):
    picture = Image.fromarray(hole().astype(np.uint8)).convert("P")
    picture.putpalette([10, 20, 30, 200, 100, 50] + [0] * 762)
    picture.save(tmp_path / "p.png", transparency=1)
    (done,) = complete(run, [tmp_path / "p.png"], tmp_path / "out", alpha=True)
    check(done, np.where(hole()[..., None], [200, 100, 50], [10, 20, 30]).astype(np.uint8), hole())


def test_a_key_colour_within_a_tolerance(run, tmp_path):
    array = pixels()
    array[hole()] = (250, 4, 253)
    array[0, 0] = (250, 20, 250)
    picture = save(tmp_path / "a.png", array)
    (done,) = complete(run, [picture], tmp_path / "out", key_colour=(255, 0, 255), tolerance=5)
    check(done, array, hole())
    (done,) = complete(run, [picture], tmp_path / "exact", key_colour=(255, 0, 255))
    assert done.made == 0
    assert (read(done.written[0]) == array).all()


def test_a_hole_is_grown(run, tmp_path):
    picture = save(tmp_path / "a.png", pixels())
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    (done,) = complete(run, [picture], tmp_path / "out", masks=mask, dilate=2)
    grown = np.zeros_like(hole())
    grown[0:7, 1:9] = True
    check(done, pixels(), grown)


@pytest.mark.parametrize(
    "source", [{}, {"alpha": True, "key_colour": (0, 0, 0)}, {"alpha": True, "dilate": -1}]
)
def test_a_source_that_says_nothing_or_too_much_is_refused(source):
    with pytest.raises(DataError, match=r"exactly one of masks|cannot be negative"):
        MaskSource(**source)


def test_a_mask_of_another_size_names_both_files(run, tmp_path):
    picture = save(tmp_path / "a.png", pixels())
    mask = save(tmp_path / "mask.png", hole(8, 14).astype(np.uint8) * 255)
    with pytest.raises(DataError, match=r"mask\.png: the mask is 8 x 14, its picture .*a\.png is 9 x 14"):
        complete(run, [picture], tmp_path / "out", masks=mask)


def test_a_soft_edge_is_white_from_the_middle_on(run, tmp_path):
    wide = np.where(hole(40, 40), 255, 0).astype(np.uint8)
    wide[10, :2] = 128, 127
    picture = save(tmp_path / "a.png", pixels(40, 40))
    (done,) = complete(run, [picture], tmp_path / "out", masks=save(tmp_path / "mask.png", wide))
    check(done, pixels(40, 40), wide >= 128)


ALIKE = {  # what a mask file holds, and what both readers say of it
    "grey": (np.full((9, 14), 128, np.uint8), "100% of it is neither black nor white"),
    "0 and 1": (np.uint8(hole()), "the mask has only the values 0 and 1; multiply it by 255"),
    "8 bits in 16": (np.uint16(hole()) * 255, "16 bits and no value above 255, .*with 8 bits, 0 and 255"),
    "alpha": (np.dstack([np.uint8(hole()) * 255, np.uint8(~hole()) * 255]), "is transparent in places"),
    "sixteen bits": (np.uint16(hole()) * 65535, ""),
    "opaque": (np.dstack([np.uint8(hole()) * 255, np.full((9, 14), 255, np.uint8)]), ""),
    "black": (np.zeros((9, 14), np.uint8), ""),
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_mask_means_to_complete_what_it_means_to_training(run, name, tmp_path):
    content, fault = ALIKE[name]
    picture = save(tmp_path / "in" / "a.png", pixels())
    masks = save(tmp_path / "masks" / "a.png", content).parent
    save(tmp_path / "in" / "b.png", pixels())
    save(tmp_path / "masks" / "b.png", hole().astype(np.uint8) * 255)
    options = IncompleteOptions(source=tmp_path / "in", masks=masks)
    if fault:
        for read_it in (
            lambda: complete(run, [picture], tmp_path / "out", masks=masks),
            lambda: open_incomplete(options, None),
        ):
            with pytest.raises(DataError, match=rf"masks/a\.png: .*{fault}"):
                read_it()
        return
    (done,) = complete(run, [picture], tmp_path / "out", masks=masks)
    hidden = open_incomplete(options, None).data_masks[0, 0].numpy()
    assert (hidden == (hole() & (name != "black"))).all()
    check(done, pixels(), hidden)


def test_inverted_masks_are_white_where_pixels_are_known(run, tmp_path):
    picture = save(tmp_path / "a.png", pixels())
    mask = save(tmp_path / "mask.png", np.uint8(~hole()) * 255)
    (done,) = complete(run, [picture], tmp_path / "out", masks=mask, invert=True)
    check(done, pixels(), hole())
    with pytest.raises(DataError, match="invert goes with masks"):
        MaskSource(alpha=True, invert=True)


@pytest.mark.parametrize("invert", [False, True])
def test_much_that_is_hidden_is_warned_of_before_anything_is_written(run, tmp_path, invert):
    holes = {"a": ~hole(), "b": hole(), "c": np.ones((9, 14), bool), "d": ~hole(), "e": hole() | True}
    for name, hidden in holes.items():
        save(tmp_path / "in" / f"{name}.png", pixels())
        save(tmp_path / "masks" / f"{name}.png", np.uint8(hidden != invert) * 255)
    told: list[str] = []
    source = MaskSource(masks=tmp_path / "masks", invert=invert)
    next(complete_files(run, [tmp_path / "in"], tmp_path / "out", source, warn=told.append))
    flag = "--no-invert" if invert else "--invert"
    remedy = f"if the masks are the wrong way round, use {flag}"
    assert told == [
        f"everything is hidden in {tmp_path / 'in' / 'c.png'} and 1 more picture; {remedy}",
        f"more than half is hidden (90.5%) in {tmp_path / 'in' / 'a.png'} and 1 more picture; {remedy}",
    ]


# What is written --------------------------------------------------------------------------------


def test_orientation_is_applied_and_exif_dropped(run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    exif[0x010F] = "a camera"
    picture = save(tmp_path / "a.png", pixels(), exif=exif)
    mask = save(tmp_path / "mask.png", hole(14, 9).astype(np.uint8) * 255)
    (done,) = complete(run, [picture], tmp_path / "out", masks=mask)
    check(done, np.rot90(pixels(), -1), hole(14, 9))
    with Image.open(done.written[0]) as result:
        assert len(result.getexif()) == 0


def test_several_fills_are_numbered_and_differ(tmp_path):
    run = TrainedRun(Black(latent=True), choose("cpu", "fp32"), (3, 16, 16), 1.0, Path("run"))
    picture = save(tmp_path / "a.png", pixels())
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    (done,) = complete_files(run, [picture], tmp_path / "out", MaskSource(masks=mask), samples=3)
    assert [path.name for path in done.written] == ["a.0.png", "a.1.png", "a.2.png"]
    results = [read(path) for path in done.written]
    assert len({result[hole()].tobytes() for result in results}) == 3
    assert all((result[~hole()] == pixels()[~hole()]).all() for result in results)


def test_grey_pictures_stay_grey(tmp_path):
    run = TrainedRun(Black(), choose("cpu", "fp32"), (1, 16, 16), 1.0, Path("run"))
    array = pixels()[..., 0].copy()
    picture = save(tmp_path / "a.png", array)
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    (done,) = complete(run, [picture], tmp_path / "out", masks=mask)
    check(done, array, hole())


def test_what_is_grey_is_told_by_its_seen_pixels(tmp_path):
    run = TrainedRun(Black(), choose("cpu", "fp32"), (1, 16, 16), 1.0, Path("run"))
    grey = pixels()[..., 0].copy()
    array = np.dstack([grey] * 3)
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    Image.fromarray(grey).convert("P").save(tmp_path / "palette.png")
    given = [save(tmp_path / "rgb.png", array), tmp_path / "palette.png"]
    array[hole()] = (255, 0, 255)
    given.append(save(tmp_path / "pink.png", array))
    for done in complete(run, given, tmp_path / "out", masks=mask):
        check(done, grey, hole())
    array[0, 0] = (10, 11, 10)
    with pytest.raises(DataError, match=r"colour\.png: is in colour, and this run"):
        complete(run, [save(tmp_path / "colour.png", array)], tmp_path / "out", masks=mask)


def test_transparent_pixels_are_laid_over_white_and_warned_of(run, tmp_path):
    array = np.dstack([pixels(), np.full((9, 14), 255, np.uint8)])
    array[0, :2] = (200, 0, 0, 0), (200, 0, 0, 127)
    picture = save(tmp_path / "a.png", array)
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    told: list[str] = []
    (done,) = complete_files(run, [picture], tmp_path / "out", MaskSource(masks=mask), warn=told.append)
    flat = array[..., :3].copy()
    flat[0, :2] = (255, 255, 255), (228, 128, 128)
    check(done, flat, hole())
    assert len(told) == 1 and "laid over white: " in told[0] and "a.png; if they are what is" in told[0]
    (done,) = complete(run, [picture], tmp_path / "key", key_colour=(255, 255, 255))
    check(done, flat, (flat == 255).all(-1))
    told.clear()
    opaque = save(tmp_path / "b.png", np.dstack([pixels(), np.full((9, 14), 255, np.uint8)]))
    list(complete_files(run, [opaque], tmp_path / "out", MaskSource(masks=mask), warn=told.append))
    list(complete_files(run, [picture], tmp_path / "alpha", MaskSource(alpha=True), warn=told.append))
    assert told == [] and (read(tmp_path / "alpha" / "a.png")[0, 2] == array[0, 2, :3]).all()


@pytest.mark.parametrize("space", [b"RGB ", b"GRAY", b"CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_colour_profile_is_kept_where_it_fits(tmp_path, space, channels):
    run = TrainedRun(Black(), choose("cpu", "fp32"), (channels, 16, 16), 1.0, Path("run"))
    profile = bytes(16) + space + bytes(200)
    exif = Image.Exif()
    exif[0x0112] = 6
    array = pixels() if channels == 3 else pixels()[..., 0].copy()
    picture = save(tmp_path / "a.png", array, icc_profile=profile, exif=exif)
    (done,) = complete(run, [picture], tmp_path / "out", key_colour=(0, 0, 0))
    fits = (channels, space) in {(3, b"RGB "), (1, b"GRAY")}
    with Image.open(done.written[0]) as result, Image.open(done.mask) as mask:
        assert result.info.get("icc_profile") == (profile if fits else None)
        assert "icc_profile" not in mask.info


def deep_png(path: Path, kind: int, channels: int) -> None:
    """8 x 8 black pixels with 16 bits a channel, which PIL cannot write in colour."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes((1 + 8 * channels * 2) * 8))),
        (b"IEND", b""),
    )
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def deep_tiff(path: Path) -> None:
    """8 x 8 black RGB pixels with 16 bits a channel."""
    tags = [(256, 8), (257, 8), (259, 1), (262, 2), (273, 134), (277, 3), (278, 8), (279, 384)]
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags]
    entries.insert(2, struct.pack("<HHII", 258, 3, 3, 128))
    head = b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(entries) + bytes(4)
    path.write_bytes(head.ljust(128, b"\0") + struct.pack("<HHH", 16, 16, 16) + bytes(384))


DEEP = {
    "colour.png": lambda path: deep_png(path, 2, 3),
    "alpha.png": lambda path: deep_png(path, 6, 4),
    "grey_alpha.png": lambda path: deep_png(path, 4, 2),
    "colour.tif": deep_tiff,
    "colour.ppm": lambda path: path.write_bytes(b"P6\n8 8\n65535\n" + bytes(384)),
}


@pytest.mark.parametrize("name", DEEP)
def test_sixteen_bits_in_colour_are_refused_for_the_decoder_cuts_them_off(run, tmp_path, name):
    DEEP[name](tmp_path / name)
    with Image.open(tmp_path / name) as picture:
        assert picture.mode in {"RGB", "RGBA", "LA"} and picture.load() is not None
    with pytest.raises(DataError, match=rf"{name}: has more than 8 bits a channel; convert it"):
        complete(run, [tmp_path / name], tmp_path / "out", key_colour=(1, 2, 3))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm", "a.jpg", "a.webp", "a.gif", "a.bmp"])
def test_eight_bits_of_any_kind_are_completed(run, tmp_path, name):
    (done,) = complete(run, [save(tmp_path / name, pixels())], tmp_path / "out", key_colour=(0, 0, 0))
    assert read(done.written[0]).shape == (9, 14, 3)


def test_nothing_is_written_over_and_nothing_begun(run, tmp_path):
    pictures = [save(tmp_path / f"{name}.png", pixels()) for name in "ab"]
    mask = save(tmp_path / "mask.bmp", hole().astype(np.uint8) * 255)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=r"a\.png: exists already; give another --out"):
        complete(run, pictures, tmp_path, masks=mask)
    save(tmp_path / "out" / "b.mask.png", hole().astype(np.uint8))
    with pytest.raises(DataError, match=r"b\.mask\.png: exists already"):
        complete(run, pictures, tmp_path / "out", masks=mask)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.mask.png"]
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}


def test_a_fault_of_the_last_picture_is_told_before_the_first_is_written(run, tmp_path):
    seen = np.where(hole(), 0, 255).astype(np.uint8)
    pictures = [save(tmp_path / "a.png", np.dstack([pixels(), seen])), save(tmp_path / "b.png", pixels())]
    with pytest.raises(DataError, match=r"b\.png"):
        complete(run, pictures, tmp_path / "out", alpha=True)
    assert not (tmp_path / "out").exists()


def test_what_is_done_is_skipped_if_asked_and_what_is_half_done_is_named(run, tmp_path):
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    for name in "abc":
        save(tmp_path / "in" / f"{name}.png", pixels())
    out, source = tmp_path / "out", MaskSource(masks=mask)
    assert len(list(islice(complete_files(run, [tmp_path / "in"], out, source), 2))) == 2
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(DataError, match=r"a\.png: exists already; .* or --skip-existing to go on with"):
        complete(run, [tmp_path / "in"], out, masks=mask)
    done = list(complete_files(run, [tmp_path / "in"], out, source, skip_existing=True))
    assert [(each.source.name, each.skipped) for each in done] == [
        ("a.png", True),
        ("b.png", True),
        ("c.png", False),
    ]
    assert len(before) == 4 and all(path.read_bytes() == kept for path, kept in before.items())
    for each in done:
        check(each, pixels(), hole())
    (out / "b.mask.png").unlink()
    with pytest.raises(DataError, match=r"b\.png: exists already; what else belongs .* remove it"):
        list(complete_files(run, [tmp_path / "in"], out, source, skip_existing=True))


def test_the_seed_draws_other_fills(tmp_path):
    run = TrainedRun(Black(latent=True), choose("cpu", "fp32"), (3, 16, 16), 1.0, Path("run"))
    picture = save(tmp_path / "a.png", pixels())
    results = []
    for number, seed in enumerate((0, 1, 1)):
        source = MaskSource(masks=save(tmp_path / "mask.png", hole().astype(np.uint8) * 255))
        (done,) = complete_files(run, [picture], tmp_path / str(number), source, seed=seed)
        results.append(read(done.written[0]).tobytes())
    assert results[0] != results[1] == results[2]


def test_two_pictures_of_one_name_are_refused(run, tmp_path):
    pictures = [save(tmp_path / "a.png", pixels()), save(tmp_path / "a.bmp", pixels())]
    with pytest.raises(DataError, match=r"out/a\.png: two pictures would .* there, .*a\.png and .*a\.bmp"):
        complete(run, pictures, tmp_path / "out", key_colour=(0, 0, 0))
    with pytest.raises(DataError, match="two pictures would be written there"):
        complete(run, pictures[:1] * 2, tmp_path / "out", key_colour=(0, 0, 0))


def test_files_that_are_no_pictures_or_not_there_are_named(run, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"bad\.png: cannot be read as a picture"):
        complete(run, [tmp_path / "bad.png"], tmp_path / "out", key_colour=(0, 0, 0))
    with pytest.raises(DataError, match="there is no such file or folder"):
        find_pictures([tmp_path / "nothing"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures there"):
        find_pictures([tmp_path / "empty"])


def test_files_of_a_mac_and_hidden_ones_are_left_out_of_folders(run, tmp_path):
    save(tmp_path / "in" / "a.png", pixels())
    for name in ("._a.png", ".trash/b.png", "__MACOSX/c.png", "deep/__MACOSX/d.png", "deep/._e.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"not a picture")
    assert find_pictures([tmp_path / "in"]) == [(tmp_path / "in" / "a.png", Path("a"))]
    assert find_folder_pictures(tmp_path / "in") == ["a.png"]
    (done,) = complete(run, [tmp_path / "in"], tmp_path / "out", key_colour=(0, 0, 0))
    assert done.source == tmp_path / "in" / "a.png"


def test_results_and_masks_below_the_pictures_are_not_completed(run, tmp_path):
    save(tmp_path / "a.png", pixels())
    save(tmp_path / "masks" / "a.png", np.uint8(hole()) * 255)
    complete(run, [tmp_path], tmp_path / "done", masks=tmp_path / "masks")
    assert sorted(each.name for each in (tmp_path / "done").rglob("*")) == ["a.mask.png", "a.png"]
    with pytest.raises(DataError, match=r"done/a\.png: exists already"):
        complete(run, [tmp_path], tmp_path / "done", masks=tmp_path / "masks")


@pytest.mark.parametrize("samples", [None, 2])
def test_results_of_another_job_below_the_pictures_are_refused(tmp_path, samples):
    run = TrainedRun(Black(latent=True), choose("cpu", "fp32"), (3, 16, 16), 1.0, Path("run"))
    save(tmp_path / "a.png", pixels())
    list(complete_files(run, [tmp_path], tmp_path / "done", MaskSource(key_colour=(0, 0, 0)), samples))
    with pytest.raises(DataError, match=r"done/a\.mask\.png: lies beside its picture.*move them out"):
        complete(run, [tmp_path], tmp_path / "other", key_colour=(0, 0, 0))
    assert not (tmp_path / "other").exists()
    save(tmp_path / "own" / "b.mask.png", pixels())
    assert find_pictures([tmp_path / "own"]), "a name alone says nothing"


def test_the_folder_of_masks_is_read_once(run, tmp_path, monkeypatch):
    for name in ("a", "b", "c/d"):
        save(tmp_path / "in" / f"{name}.png", pixels())
        save(tmp_path / "masks" / f"{name}.PNG", np.uint8(hole()) * 255)
    read_folders, walk = [], os.walk
    monkeypatch.setattr(os, "walk", lambda top, **said: read_folders.append(top) or walk(top, **said))
    assert len(complete(run, [tmp_path / "in"], tmp_path / "out", masks=tmp_path / "masks")) == 3
    assert read_folders == [tmp_path / "in", tmp_path / "masks"]


def test_sixteen_bits_are_refused_for_they_would_be_cut_off(run, tmp_path):
    picture = save(tmp_path / "a.png", pixels()[..., 0].astype(np.uint16) * 200)
    mask = save(tmp_path / "mask.png", hole().astype(np.uint8) * 255)
    with pytest.raises(DataError, match=r"a\.png: has more than 8 bits a channel; convert it"):
        complete(run, [picture], tmp_path / "out", masks=mask)


def test_generated_pictures_are_numbered_and_never_written_over(tmp_path):
    files = save_pictures(
        lambda: torch.tensor([-1.0, 0.0, 2.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2), 3, tmp_path / "o"
    )
    assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
    assert [read(file)[0, 0].tolist() for file in files] == [[0] * 3, [128] * 3, [255] * 3]
    with pytest.raises(DataError, match="exists already"):
        save_pictures(lambda: pytest.fail("made for nothing"), 1, tmp_path / "o")


def test_arrays_are_sent_to_where_they_can_be_completed(tmp_path):
    with pytest.raises(DataError, match=r"faces.npz: holds arrays.*in Python: Engine\(\).open\(RUN\)"):
        find_pictures([tmp_path / "faces.npz"])
