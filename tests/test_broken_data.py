"""Odd and broken data: each file has one outcome, told on the page `docs/data.md`, and a refusal names it.

`READ` are files that are read, with the pixels that come of them; `BROKEN` those that cannot be; `ARRAYS` and
`MASKS` what else is refused. Every row of the page is a case here, and the reverse.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ambientkit_plugins.mask_files.sensor import MaskFromData
from engine_recipes import tiny
from PIL import Image
from test_picture_files import Black

from ambientkit import Context, Engine
from ambientkit.completion import TrainedRun
from ambientkit.errors import DataError
from ambientkit.machine import choose
from ambientkit.picture_files import MaskSource, complete_files
from ambientkit.pictures import MOST_MEGAPIXELS

PAGE = Path(__file__).parents[1] / "docs/data.md"
ENGINE = Engine(discover=False)
PIXELS = np.random.default_rng(3).integers(0, 200, (8, 12, 3), dtype=np.uint8)
KEY = "#ffffff"  # no pixel of PIXELS
Write = Callable[[Path], Path]


def save(path: Path, pixels: np.ndarray, mode: str | None = None, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def folder_of(root: Path, **options):
    return ENGINE.build("dataset", "image_folder", root=root, crop="none", **options)


def incomplete(root: Path, **options):
    return ENGINE.build("dataset", "incomplete", source=root, **options)


def complete(picture: Path, out: Path, channels: int = 3, **source) -> Path:
    run = TrainedRun(Black(), choose("cpu", "fp32"), (channels, 8, 12), 1.0, Path("run"))
    (done,) = complete_files(run, [picture], out, MaskSource(**source))
    return done.written[0]


# Files that are read ----------------------------------------------------------------------------


def cmyk(path: Path) -> Path:
    return save(path / "a.tif", PIXELS, "CMYK")


def sixteen_bits(path: Path) -> Path:
    return save(path / "a.png", PIXELS[..., 0].astype(np.uint16) * 257)


def palette(path: Path) -> Path:
    return save(path / "a.png", PIXELS[..., 0], "P")


def animated(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    other = Image.fromarray(255 - PIXELS)
    Image.fromarray(PIXELS).save(path / "a.png", save_all=True, append_images=[other])
    with Image.open(path / "a.png") as picture:
        assert picture.n_frames == 2
    return path / "a.png"


def turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    return save(path / "a.png", np.ascontiguousarray(np.rot90(PIXELS)), exif=exif)


def one_pixel(path: Path) -> Path:
    return save(path / "a.png", PIXELS[:1, :1])


def wrong_extension(path: Path) -> Path:
    return save(path / "a.jpg", PIXELS, format="png")


GREY = np.repeat(PIXELS[..., :1], 3, axis=2)
READ: dict[str, tuple[Write, np.ndarray]] = {
    "CMYK": (cmyk, PIXELS),
    "16 bits a channel": (sixteen_bits, GREY),
    "a palette": (palette, GREY),
    "animated": (animated, PIXELS),
    "turned by EXIF": (turned, PIXELS),
    "a single pixel": (one_pixel, PIXELS[:1, :1]),
    "a wrong extension": (wrong_extension, PIXELS),
}


@pytest.mark.parametrize("name", READ)
def test_an_odd_picture_is_read_alike_by_every_data_set(name, tmp_path):
    write, expected = READ[name]
    write(tmp_path)
    whole = folder_of(tmp_path).images([0])[0].permute(1, 2, 0).numpy()
    assert np.array_equal(whole, expected)
    rim = np.full((2, *expected.shape[1:]), 255, np.uint8)  # something is hidden, so that it can be read
    save(tmp_path / "b/a.png", np.concatenate([expected, rim]))
    (tmp_path / "a").mkdir()
    for file in [each for each in tmp_path.iterdir() if each.is_file()]:
        file.rename(tmp_path / "a" / file.name)
    with pytest.raises(DataError, match="nothing is hidden"):  # the same pixels: none is the key colour
        incomplete(tmp_path / "a", key_colour=KEY)
    seen = incomplete(tmp_path / "b", key_colour=KEY).measured([0]).y[0].permute(1, 2, 0).numpy()
    assert np.array_equal(seen[:-2], expected[..., : seen.shape[2]])


@pytest.mark.parametrize("name", READ)
def test_an_odd_picture_is_completed_or_refused_with_the_reason(name, tmp_path):
    write, expected = READ[name]
    picture = write(tmp_path)
    if name == "16 bits a channel":
        with pytest.raises(DataError, match=r"a\.png: has more than 8 bits a channel; convert it"):
            complete(picture, tmp_path / "out", key_colour=(255, 255, 255))
        return
    written = complete(picture, tmp_path / "out", key_colour=(255, 255, 255))
    assert np.array_equal(np.array(Image.open(written)), expected)


@pytest.mark.parametrize("name", sorted(set(READ) - {"a single pixel"}))
def test_an_odd_mask_is_read_as_it_looks(name, tmp_path, monkeypatch):
    mask = np.zeros((8, 12, 3), np.uint8)
    mask[2:5, 3:9] = 255
    monkeypatch.setitem(globals(), "PIXELS", mask)
    READ[name][0](tmp_path / "masks")
    read = MaskFromData(tmp_path / "masks").masks((3, 8, 12))
    assert np.array_equal(read[0, 0].numpy(), mask[..., 0] == 255)


# Files that cannot be read ----------------------------------------------------------------------


def truncated(path: Path) -> Path:
    file = save(path / "bad.png", PIXELS)
    file.write_bytes(file.read_bytes()[:200])
    return file


def truncated_jpeg(path: Path) -> Path:
    file = save(path / "bad.jpg", PIXELS)
    file.write_bytes(file.read_bytes()[:-60])
    return file


def content(data: bytes) -> Write:
    def write(path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        (path / "bad.png").write_bytes(data)
        return path / "bad.png"

    return write


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> Write:
    """A PNG of a few kilobytes that unfolds to side x side black and white pixels."""
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = [_chunk(b"IHDR", header), _chunk(b"IDAT", rows), _chunk(b"IEND", b"")]
    return content(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def floating(path: Path) -> Path:
    return save(path / "bad.tif", np.full((8, 12), np.nan, np.float32))


def pipe(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path / "bad.png")
    return path / "bad.png"


def dangling(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "bad.png").symlink_to(path / "nowhere.png")
    return path / "bad.png"


BROKEN: dict[str, tuple[Write, str]] = {
    "truncated": (truncated, "cannot be read as a picture"),
    "a truncated JPEG": (truncated_jpeg, "cannot be read as a picture: .*truncated"),
    "empty": (content(b""), "cannot be read as a picture"),
    "text": (content(b"not a picture\n" * 9), "cannot be read as a picture"),
    "100 megapixels": (bomb(10_000), f"more than {MOST_MEGAPIXELS} megapixels"),
    "400 megapixels": (bomb(20_000), f"more than {MOST_MEGAPIXELS} megapixels"),
    "floating point": (floating, "floating-point|more than 8 bits"),
    "a pipe": (pipe, "no ordinary file|no such file"),
    "a dangling link": (dangling, "there is no such file"),
}

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def beside(write: Write, root: Path) -> Path:
    """The broken file among three sound ones, in a folder."""
    for number in range(3):
        holed = PIXELS.copy()
        holed[2:5, 3 + number : 7] = 255
        save(root / f"{number}.png", holed)
    return write(root)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_fails_by_name_or_is_skipped_and_told(name, tmp_path):
    write, reason = BROKEN[name]
    bad = beside(write, tmp_path)
    for open_, options in ((folder_of, {}), (incomplete, {"key_colour": KEY})):
        with pytest.raises(DataError, match=rf"{re.escape(str(bad))}: .*({reason})"):
            data = open_(tmp_path, **options)
            data.images(range(len(data)))
        sound = open_(tmp_path, on_bad_image="skip", **options)
        assert list(sound.skipped) == [bad.name] and len(sound) == 3


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_by_name_as_a_mask_and_by_complete(name, tmp_path):
    write, reason = BROKEN[name]
    bad = write(tmp_path / "bad")
    with pytest.raises(DataError, match=rf"{re.escape(str(bad))}: .*({reason})"):
        MaskFromData(tmp_path / "bad").masks((3, 8, 12))
    with pytest.raises(DataError, match=rf"{re.escape(str(bad))}: .*({reason})"):
        complete(bad, tmp_path / "out", key_colour=(255, 255, 255))
    sound = save(tmp_path / "sound.png", PIXELS)
    with pytest.raises(DataError, match=rf"{re.escape(str(bad))}: .*({reason})"):
        complete(sound, tmp_path / "out", masks=bad)


def test_a_picture_whose_mask_cannot_be_read_is_skipped_and_one_whose_mask_does_not_fit_is_not(tmp_path):
    for number in range(3):
        save(tmp_path / f"pictures/{number}.png", PIXELS)
        save(tmp_path / f"masks/{number}.png", np.uint8(np.eye(8, 12)) * 255)
    (tmp_path / "masks/1.png").write_bytes(b"")
    options = {"masks": tmp_path / "masks", "on_bad_image": "skip"}
    data = incomplete(tmp_path / "pictures", **options)
    assert list(data.skipped) == ["1.png"] and list(data.keys) == ["0.png", "2.png"]
    save(tmp_path / "masks/1.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(DataError, match=r"masks/1\.png: the mask is 9 x 9"):
        incomplete(tmp_path / "pictures", **options)


def test_nothing_that_can_be_read_is_refused(tmp_path):
    content(b"")(tmp_path)
    for open_, options in ((folder_of, {}), (incomplete, {"key_colour": KEY})):
        with pytest.raises(DataError, match=r"none of its 1 pictures can be read, bad\.png for one"):
            open_(tmp_path, on_bad_image="skip", **options)


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "image_folder", "crop": "none"},
        {"kind": "celeba", "crop": 1.0},
        {"kind": "incomplete", "key_colour": KEY},
        {"kind": "masks_of_incomplete", "key_colour": KEY},
    ],
    ids=lambda source: source["kind"],
)
def test_run_json_says_what_every_data_set_skipped(source, tmp_path, engine):
    place = {"celeba": "img_align_celeba"}.get(source["kind"], "")
    for number in range(8):
        holed = np.full((16, 16, 3), 40 + number, np.uint8)
        holed[2:8, 3:9] = 255
        save(tmp_path / "data" / place / f"00000{number}.jpg", holed, format="png")
    (tmp_path / "data" / place / "000003.jpg").write_bytes(b"")
    where = "source" if "incomplete" in source["kind"] else "root"
    wanted = {**source, where: str(tmp_path / "data"), "on_bad_image": "skip"}
    data = {"source": wanted, "image_size": None if where == "source" else [16, 16], "holdout": 0}
    sensor = (
        {"kind": "masks_of_data"} if source["kind"] == "incomplete" else {"kind": "block_patch", "size": 6}
    )
    recipe = tiny(data=data, measurement=sensor, train={"steps": 1, "batch_size": 4})
    done = engine.run(recipe, out=tmp_path / "runs", device="cpu")
    record = json.loads((done.folder / "run.json").read_text("utf-8"))
    assert record["data"]["skipped"] == ["000003.jpg"] and record["data"]["training"] == 7


def test_run_json_says_what_the_discriminators_data_skipped(tmp_path, engine):
    for number in range(6):
        save(tmp_path / f"clean/{number}.png", np.full((16, 16, 3), 40 + number, np.uint8))
    (tmp_path / "clean/2.png").write_bytes(b"")
    section = {
        "source": {"kind": "image_folder", "root": str(tmp_path / "clean"), "on_bad_image": "skip"},
        "holdout": 0,
    }
    critic = {"kind": "dcgan", "width": 4, "spectral_norm": True, "mask_channel": False}
    recipe = tiny(discriminator=critic, discriminator_data=section, train={"steps": 1, "batch_size": 4})
    done = engine.run(recipe, out=tmp_path / "runs", device="cpu")
    assert json.loads((done.folder / "run.json").read_text("utf-8"))["data"]["skipped"] == ["2.png"]


# Masks ------------------------------------------------------------------------------------------


def mask_case(name: str) -> np.ndarray:
    """The masks of the table, for pictures of 8 x 12."""
    hole = np.zeros((8, 12), np.uint8)
    hole[2:5, 3:7] = 255
    return {
        "a mask of another size": hole[:, :9],
        "a mask that is not black and white": np.full((8, 12), 128, np.uint8),
        "all hidden": np.full((8, 12), 255, np.uint8),
        "nothing hidden": np.zeros((8, 12), np.uint8),
        "only the values 0 and 1": hole // 255,
        "8 bits kept in 16": hole.astype(np.uint16),
        "transparent in places": np.dstack([hole, 255 - hole]),
    }[name]


MASKS: dict[str, tuple[str, str, str]] = {
    "a mask of another size": (r"masks/0\.png: the mask is 8 x 9", "", r"masks/0\.png: the mask is 8 x 9"),
    "a mask that is not black and white": (
        r"masks/0\.png: 100% of it is neither",
        r"masks/0\.png: 100% of it is neither",
        r"masks/0\.png: 100% of it is neither",
    ),
    "all hidden": (r"hidden altogether, 0\.png for one", r"masks/0\.png: the mask hides the whole", "all"),
    "nothing hidden": ("pictures: nothing is hidden in any", "masks: no mask hides anything", "none"),
    "only the values 0 and 1": (r"masks/0\.png: the mask has only the values 0 and 1; multiply it",) * 3,
    "8 bits kept in 16": (r"masks/0\.png: the mask has 16 bits and no value above 255",) * 3,
    "transparent in places": (r"masks/0\.png: the mask is transparent in places",) * 3,
}
"""What `incomplete`, `mask_from_data` and `complete` say; "": it is resized, all or none: so much is made."""


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_that_does_not_fit_has_one_outcome_in_each_place(name, tmp_path):
    picture = save(tmp_path / "pictures/0.png", PIXELS)
    save(tmp_path / "masks/0.png", mask_case(name))
    arriving, drawn, completing = MASKS[name]
    with pytest.raises(DataError, match=arriving):
        incomplete(tmp_path / "pictures", masks=tmp_path / "masks")
    if drawn:
        with pytest.raises(DataError, match=drawn):
            MaskFromData(tmp_path / "masks").masks((3, 8, 12))
    else:
        assert MaskFromData(tmp_path / "masks").masks((3, 8, 12)).shape == (1, 1, 8, 12)
        with pytest.raises(DataError, match=r"masks/0\.png: the mask is 8 x 9"):
            MaskFromData(tmp_path / "masks", resize=False).masks((3, 8, 12))
    if completing in ("all", "none"):
        made = np.array(Image.open(complete(picture, tmp_path / "out", masks=tmp_path / "masks")))
        assert np.array_equal(made, np.zeros_like(PIXELS) if completing == "all" else PIXELS)
    else:
        with pytest.raises(DataError, match=completing):
            complete(picture, tmp_path / "out", masks=tmp_path / "masks")


# Arrays -----------------------------------------------------------------------------------------

IMAGES = np.linspace(0, 1, 4 * 6 * 6).reshape(4, 6, 6)
HIDDEN = np.zeros((4, 6, 6), bool)
HIDDEN[:, 1:3, 1:3] = True


def with_(value: float) -> np.ndarray:
    """IMAGES whose third picture has one such known pixel."""
    images = IMAGES.copy()
    images[2, 5, 5] = value
    return images


def lying_header(path: Path) -> None:
    """An array that announces a petabyte and holds nothing."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**25, 2**25)}
        np.lib.format.write_array_header_1_0(file, header)


ARRAYS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "NaN": (
        lambda p: np.savez(p, x=with_(np.nan)),
        "picture 2 has known",
        "measurement 2 .* NaN or infinity",
    ),
    "infinity": (
        lambda p: np.savez(p, x=with_(np.inf)),
        "picture 2 has known",
        "measurement 2 .* NaN or infin",
    ),
    "no pictures": (lambda p: np.savez(p, x=IMAGES[:0]), r"\(0, 6, 6", r"`y` is \(0, 6, 6\)"),
    "an array file of no bytes": (lambda p: p.write_bytes(b""), "cannot be read", "cannot be read"),
    "an array file cut short": (
        lambda p: (np.savez(p, x=IMAGES), p.write_bytes(p.read_bytes()[:200])),
        "cannot be read",
        "cannot be read",
    ),
    "an array that lies about its size": (lying_header, "cannot be read", "cannot be read"),
    "pickled objects": (
        lambda p: np.savez(p, x=np.array([{"a": 1}] * 4, dtype=object)),
        "cannot be read",
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_broken_arrays_are_refused_with_the_files_name(name, tmp_path):
    write, incomplete_says, measured_says = ARRAYS[name]
    for stem, array, others, says in (
        ("a", "images", {"hidden": HIDDEN[:0] if name == "no pictures" else HIDDEN}, incomplete_says),
        ("y", "y", {}, measured_says),
    ):
        path = tmp_path / f"{stem}.npz"
        write(path)
        _rename(path, array, others)
        with pytest.raises(DataError, match=rf"{re.escape(str(path))}: .*{says}"):
            if stem == "a":
                incomplete(path, value_range=(0, 1))
            else:
                ENGINE.build("dataset", "measured_array", file=path, image_shape=(1, 6, 6))


def _rename(path: Path, name: str, others: dict[str, np.ndarray]) -> None:
    """The array `x` of the file under another name, with others beside it; what is broken stays so."""
    try:
        with path.open("rb") as stream:
            arrays = {name: np.load(stream, allow_pickle=True)["x"]}
    except Exception:
        return
    np.savez(path, **arrays, **others)


def test_a_measurement_that_shows_nothing_is_refused(tmp_path):
    seen = ~HIDDEN
    seen[1] = False
    np.savez(tmp_path / "y.npz", y=IMAGES[:, None].astype(np.float32), observed=seen)
    with pytest.raises(DataError, match=r"y\.npz: measurement 1 shows nothing"):
        ENGINE.build("dataset", "measured_array", file=tmp_path / "y.npz", observed=True)


def test_masks_that_an_array_file_carries_are_never_passed_over(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.uint8(IMAGES * 255), hidden=HIDDEN)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")  # a wrong extension
    np.save(tmp_path / "m.npy", ~HIDDEN)
    with pytest.raises(DataError, match=r"a\.npy: .*`masks` would be one too many"):
        incomplete(tmp_path / "a.npy", masks=tmp_path / "m.npy")


# Too few ----------------------------------------------------------------------------------------


def test_no_pictures_and_fewer_than_a_batch_are_refused(tmp_path, engine):
    empty = tmp_path / "empty"
    empty.mkdir()
    for open_, options in ((folder_of, {}), (incomplete, {"key_colour": KEY})):
        with pytest.raises(DataError, match=rf"{re.escape(str(empty))}: no pictures there"):
            open_(empty, **options)
    for number in range(3):
        save(tmp_path / f"few/{number}.png", PIXELS)
    source = {"kind": "image_folder", "root": str(tmp_path / "few")}
    with pytest.raises(DataError, match="3 training pictures are fewer than one batch of 4"):
        engine.run(tiny(data={"source": source, "holdout": 0}), out=tmp_path / "runs", device="cpu")
    assert not list((tmp_path / "runs").rglob("run.json"))


def test_a_single_pixel_is_enlarged_where_a_size_is_given(tmp_path):
    save(tmp_path / "a.png", PIXELS[:1, :1])
    data = ENGINE.build("dataset", "image_folder", context=Context(image_size=(4, 4)), root=tmp_path)
    assert torch.equal(data.images([0]), torch.tensor(PIXELS[0, 0]).view(1, 3, 1, 1).expand(1, 3, 4, 4))


# The page ---------------------------------------------------------------------------------------


def test_every_row_of_the_page_is_a_case_and_every_case_a_row():
    rows = re.findall(r"^\| ([^|]+?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    told = {row for row in rows if row not in {"---", "file", "mask", "array", "folder"}}
    assert told == {*READ, *BROKEN, *MASKS, *ARRAYS, "no picture at all", "fewer than a batch"}
