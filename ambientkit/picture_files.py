"""Complete picture files: find what is hidden, fill it, write the result and the mask of what was made."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ambientkit.blends import Blend
from ambientkit.completion import TrainedRun
from ambientkit.durable import write_bytes
from ambientkit.errors import DataError
from ambientkit.levels import to_eight_bits, to_float
from ambientkit.pictures import HALF_OPAQUE, SUFFIXES, converted, picture_names, read_mask, read_picture

DEEP_MODES = ("I", "F")  # 16 bits, 32 bits and float; what PIL makes of them in 8 bits is cut off, not scaled
GREY_MODES = ("1", "L", "LA")
MUCH = 0.5  # share of hidden pixels from which a mask may be the wrong way round
log = logging.getLogger("ambientkit")
Array = npt.NDArray[np.uint8]
Hidden = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MaskSource:
    """Where the hidden pixels are told: exactly one of `masks`, `alpha` and `key_colour`.

    `masks` is one mask file for all, or a folder with one at each picture's place and name (white, from
    128 on, is hidden, or known with `invert`); `alpha`: where alpha is below 128; `key_colour`: within
    `tolerance` of an RGB colour in every channel. `dilate` grows the hole by so many pixels, for JPEG
    bleeds over its edge.
    """

    masks: Path | None = None
    alpha: bool = False
    key_colour: tuple[int, int, int] | None = None
    tolerance: int = 0
    dilate: int = 0
    invert: bool = False

    def __post_init__(self) -> None:
        if sum((self.masks is not None, self.alpha, self.key_colour is not None)) != 1:
            raise DataError(
                "say where the hidden pixels are told: exactly one of masks, alpha and a key colour"
            )
        if min(self.tolerance, self.dilate) < 0:
            raise DataError("tolerance and dilate cannot be negative")
        if self.tolerance and self.key_colour is None:
            raise DataError("a tolerance goes with a key colour; give both or neither")
        if self.invert and self.masks is None:
            raise DataError("invert goes with masks; give both or neither")

    def hidden(self, picture: Image.Image, path: Path, name: Path) -> Tensor:
        """Bool (1, 1, H, W), True where the picture is to be filled.

        `path` is the picture's file, `name` its place below the folder that was given, without suffix.
        """
        hidden = torch.from_numpy(self._hidden(picture, path, name)).view(1, 1, picture.height, picture.width)
        if not self.dilate:
            return hidden
        size = 2 * self.dilate + 1
        tall = functional.max_pool2d(hidden.float(), (size, 1), stride=1, padding=(self.dilate, 0))
        return functional.max_pool2d(tall, (1, size), stride=1, padding=(0, self.dilate)).bool()

    def _hidden(self, picture: Image.Image, path: Path, name: Path) -> Hidden:
        if self.masks is not None:
            return self._from_file(picture, path, name)
        if self.alpha:
            if not picture.has_transparency_data:
                raise DataError(f"{path}: has no alpha channel; give --masks or --key-colour")
            return np.asarray(converted(path, picture, "RGBA").getchannel("A")) < HALF_OPAQUE
        colours = np.asarray(converted(path, picture, "RGB")).astype(int)
        near: Hidden = (np.abs(colours - np.array(self.key_colour)) <= self.tolerance).all(axis=-1)
        return near

    def _from_file(self, picture: Image.Image, path: Path, name: Path) -> Hidden:
        assert self.masks is not None
        found = _mask_file(self.masks, name) if self.masks.is_dir() else self.masks
        mask = read_mask(found)
        if mask.shape != (picture.height, picture.width):
            raise DataError(
                f"{found}: the mask is {mask.shape[0]} x {mask.shape[1]}, its picture {path} is "
                f"{picture.height} x {picture.width} (height x width)"
            )
        hidden: Hidden = mask != self.invert
        return hidden


def _mask_file(folder: Path, name: Path) -> Path:
    place = folder / name.parent
    found = sorted(p for p in place.glob("*") if p.stem == name.name and p.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        what = "no mask" if not found else f"{len(found)} masks"
        raise DataError(f"{place}: has {what} of the name {name.name!r}")
    return found[0]


@dataclass(frozen=True)
class CompletedFile:
    """One picture that was completed: what was read and what was written."""

    source: Path
    written: tuple[Path, ...]
    mask: Path
    made: float = 0.0  # share of the pixels that were made


def find_pictures(paths: Sequence[Path], but: Sequence[Path] = ()) -> list[tuple[Path, Path]]:
    """(picture, its name below the output folder without suffix) for files and folders of pictures.

    Of folders, what `picture_names` leaves out is left out, and what lies in one of `but` below them.
    Raises DataError where a path is not there, or there are no pictures.
    """
    found = []
    for path in paths:
        if path.is_dir():
            inner = picture_names(path, but=but)
            found += [(path / name, Path(name).with_suffix("")) for name in inner]
        elif path.is_file():
            found.append((path, Path(path.stem)))
        else:
            raise DataError(f"{path}: there is no such file or folder")
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no pictures there")
    return found


def own_folders(out: Path, source: MaskSource | None) -> list[Path]:
    """Folders that hold no pictures to complete, wherever they lie: that of the results, and the masks'."""
    return [out] if source is None or source.masks is None else [out, source.masks]


def complete_files(
    run: TrainedRun,
    pictures: Sequence[Path],
    out: Path,
    source: MaskSource | None = None,
    samples: int | None = None,
    blend: Blend = "none",
    *,
    warn: Callable[[str], None] = log.warning,
) -> Iterator[CompletedFile]:
    """Complete pictures one by one into `out`: NAME.png and NAME.mask.png, white where pixels were made.

    Observed pixels keep their 8-bit values, EXIF data are dropped. A run that restores whole pictures
    (`composite: false`) makes every pixel anew, and can do without masks unless its generator was shown
    what its sensor hides. Nothing is ever overwritten: raises DataError before the first picture is written
    when an output exists, when two would be one, when a picture or its mask cannot be used, or when there is
    no `source` and the run needs one. `samples`, `blend`: as for `TrainedRun.complete`.
    Pictures in `out` and in the folder of masks are left out where those lie in a folder of pictures.
    `warn` is told, before the first is written, of pictures of which more than half is hidden.
    """
    if source is None and run.needs_masks:
        raise DataError("say where the hidden pixels are told: exactly one of masks, alpha and a key colour")
    jobs = [
        (path, name, _outputs(out / name, samples), out / f"{name}.mask.png")
        for path, name in find_pictures(pictures, own_folders(out, source))
    ]
    _require_new([file for *_, written, mask in jobs for file in (*written, mask)])
    looks = [
        _look(run, path, name, source) for path, name, *_ in jobs
    ]  # faults are told before any is written
    _warn_of_much(looks, source, warn)
    for path, name, written, mask in jobs:
        hidden, pixels = _read(run, path, name, source)
        observed = None if hidden is None else ~hidden
        fills = run.complete(to_float(pixels), observed, samples=samples, blend=blend)
        fills = fills if samples is not None else fills[None]
        yield _write(run, CompletedFile(path, written, mask), pixels, hidden, fills)


@dataclass(frozen=True)
class _Look:
    """What is worth a warning about a picture."""

    path: Path
    hidden: float  # share of its pixels


def _look(run: TrainedRun, path: Path, name: Path, source: MaskSource | None) -> _Look:
    """Read a picture as it will be completed. Raises DataError where it or its mask cannot be used."""
    hidden, _ = _read(run, path, name, source)
    return _Look(path, 0.0 if hidden is None else float(hidden.float().mean()))


def _warn_of_much(looks: Sequence[_Look], source: MaskSource | None, warn: Callable[[str], None]) -> None:
    """One line for all that are hidden altogether, and one for all of which more than half is."""
    remedy = "see whether that is meant"
    if source is not None and source.masks is not None:
        remedy = f"if the masks are the wrong way round, use {'--no-invert' if source.invert else '--invert'}"
    whole = [look for look in looks if look.hidden == 1]
    if whole:
        warn(f"everything is hidden in {_named(whole)}; {remedy}")
    most = [look for look in looks if MUCH < look.hidden < 1]
    if most:
        warn(f"more than half is hidden ({most[0].hidden:.1%}) in {_named(most)}; {remedy}")


def _named(looks: Sequence[_Look]) -> str:
    """The first of them, and how many more there are."""
    more = len(looks) - 1
    return f"{looks[0].path}" + (f" and {more} more picture{'s' * (more > 1)}" if more else "")


def _outputs(stem: Path, samples: int | None) -> tuple[Path, ...]:
    if samples is None:
        return (Path(f"{stem}.png"),)
    return tuple(Path(f"{stem}.{number}.png") for number in range(samples))


def _require_new(files: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for file in files:
        if file in seen:
            raise DataError(
                f"{file}: two pictures would be written there; complete them into different folders"
            )
        if file.exists():
            raise DataError(f"{file}: exists already; give another --out")
        seen.add(file)


def _read(run: TrainedRun, path: Path, name: Path, source: MaskSource | None) -> tuple[Tensor | None, Tensor]:
    """What is hidden, bool (1, 1, H, W), and the pixels, uint8 (1, C, H, W)."""
    picture = read_picture(path)
    hidden = None if source is None else source.hidden(picture, path, name)
    if picture.mode.startswith(DEEP_MODES):
        raise DataError(f"{path}: has more than 8 bits a channel; convert it to 8 bits first")
    channels = run.image_shape[0]
    if channels == 1 and picture.mode not in GREY_MODES:
        raise DataError(f"{path}: is in colour, and this run was trained on grey pictures; convert it first")
    return hidden, _pixels(converted(path, picture, "L" if channels == 1 else "RGB"))


def _write(
    run: TrainedRun, file: CompletedFile, pixels: Tensor, hidden: Tensor | None, fills: Tensor
) -> CompletedFile:
    made = (
        hidden if run.composite and hidden is not None else torch.ones_like(pixels[:, :1], dtype=torch.bool)
    )
    file.mask.parent.mkdir(parents=True, exist_ok=True)
    _save(made[0].to(torch.uint8) * 255, file.mask)
    for fill, written in zip(fills, file.written, strict=True):
        _save(torch.where(made, to_eight_bits(fill), pixels)[0], written)
    return replace(file, made=float(made.float().mean()))


def _pixels(picture: Image.Image) -> Tensor:
    """uint8 (1, C, H, W)."""
    array = np.array(picture)
    return (
        torch.from_numpy(array.reshape(picture.height, picture.width, -1)).permute(2, 0, 1)[None].contiguous()
    )


def _save(pixels: Tensor, path: Path) -> None:
    """Whole or not at all: what is half written would be taken for done."""
    array: Array = pixels.permute(1, 2, 0).numpy()
    content = BytesIO()
    Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(content, format="PNG")
    write_bytes(path, content.getvalue())


def save_pictures(make: Callable[[], Tensor], count: int, out: Path) -> list[Path]:
    """Write what `make` gives, (count, C, H, W) in [-1, 1], as `out`/00000.png and so on; never overwrites.

    Raises DataError where a file is there already, before anything is made.
    """
    files = [out / f"{number:05d}.png" for number in range(count)]
    _require_new(files)
    images = make()
    out.mkdir(parents=True, exist_ok=True)
    for image, file in zip(images, files, strict=True):
        _save(to_eight_bits(image), file)
    return files
