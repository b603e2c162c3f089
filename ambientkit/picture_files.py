"""Complete picture files: find what is hidden, fill it, write the result and the mask of what was made."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ambientkit.blends import Blend
from ambientkit.completion import Around, TrainedRun
from ambientkit.durable import write_bytes
from ambientkit.errors import DataError, RunError
from ambientkit.levels import to_eight_bits, to_float
from ambientkit.mishaps import out_of_memory
from ambientkit.pictures import (
    HALF_OPAQUE,
    SUFFIXES,
    converted,
    flattened,
    has_deep_channels,
    is_transparent,
    picture_names,
    read_mask,
    read_picture,
)

SPACES = {1: b"GRAY", 3: b"RGB "}  # of a colour profile, by the channels of what is written
WHERE_TOLD = (
    "say where the hidden pixels are told: exactly one of masks (--masks), alpha (--alpha) and a key colour "
    "(--key-colour)"
)
DONE = "give another --out, or --skip-existing to go on with the pictures that are not done"
MASK_ENDING = ".mask.png"
PART_DONE = "what else belongs to its picture is not there, so remove it, or give another --out"
ARRAYS = frozenset({".npy", ".npz"})
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
    _listed: dict[str, list[Path]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if sum((self.masks is not None, self.alpha, self.key_colour is not None)) != 1:
            raise DataError(WHERE_TOLD)
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
        colours = np.asarray(self.colours(picture, path)).astype(int)
        near: Hidden = (np.abs(colours - np.array(self.key_colour)) <= self.tolerance).all(axis=-1)
        return near

    def colours(self, picture: Image.Image, path: Path) -> Image.Image:
        """The picture in RGB as in training: as it is where alpha tells what is hidden, else over white."""
        return converted(path, picture, "RGB") if self.alpha else flattened(path, picture, 3)

    def _from_file(self, picture: Image.Image, path: Path, name: Path) -> Hidden:
        assert self.masks is not None
        found = self._mask_of(name) if self.masks.is_dir() else self.masks
        mask = read_mask(found)
        if mask.shape != (picture.height, picture.width):
            raise DataError(
                f"{found}: the mask is {mask.shape[0]} x {mask.shape[1]}, its picture {path} is "
                f"{picture.height} x {picture.width} (height x width)"
            )
        hidden: Hidden = mask != self.invert
        return hidden

    def _mask_of(self, name: Path) -> Path:
        assert self.masks is not None
        if not self._listed:
            self._listed.update(_masks_below(self.masks))
        found = self._listed.get(normalize("NFC", name.as_posix()), [])
        if len(found) != 1:
            what = "no mask" if not found else f"{len(found)} masks"
            raise DataError(f"{self.masks / name.parent}: has {what} of the name {name.name!r}")
        return found[0]


def _masks_below(folder: Path) -> dict[str, list[Path]]:
    """Masks by their place and name without suffix, accents composed: `é` is one, however it is written."""
    found: dict[str, list[Path]] = {}
    for place, below, names in os.walk(folder, followlinks=True):
        here = Path(place)
        below[:] = [name for name in below if not _leads_back(here / name)]
        for path in (here / name for name in sorted(names)):
            if path.suffix.lower() in SUFFIXES:
                name = normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
                found.setdefault(name, []).append(path)
    return found


def _leads_back(folder: Path) -> bool:
    """Whether it is a link to a folder that it lies in, in which one could go down for ever."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


@dataclass(frozen=True)
class CompletedFile:
    """One picture that was completed: what was read and what was written."""

    source: Path
    written: tuple[Path, ...]
    mask: Path
    made: float = 0.0  # share of the pixels that were made
    skipped: bool = False  # all of it was there already

    @property
    def files(self) -> tuple[Path, ...]:
        """All that is written."""
        return (*self.written, self.mask)


def find_pictures(paths: Sequence[Path], but: Sequence[Path] = ()) -> list[tuple[Path, Path]]:
    """(picture, its name below the output folder without suffix) for files and folders of pictures.

    Of folders, what `picture_names` leaves out is left out, and what lies in one of `but` below them.
    Raises DataError where a path is not there, or there are no pictures, or arrays, or results.
    """
    found = []
    for path in paths:
        if path.is_dir():
            inner = picture_names(path, but=but)
            _require_no_results(path, inner)
            found += [(path / name, Path(name).with_suffix("")) for name in inner]
        elif path.suffix.lower() in ARRAYS:
            raise DataError(
                f"{path}: holds arrays, and pictures are completed here; complete arrays in Python: "
                "Engine().open(RUN).complete(images, observed), as docs/api.md shows"
            )
        elif path.is_file():
            found.append((path, Path(path.stem)))
        else:
            raise DataError(f"{path}: there is no such file or folder")
    if not found:
        raise DataError(f"{', '.join(map(str, paths))}: no pictures there")
    return found


def _require_no_results(folder: Path, names: Sequence[str]) -> None:
    """Results of another job, told by their masks, would be completed as if they were measured."""
    there = set(names)
    for name in names:
        stem = name.removesuffix(MASK_ENDING)
        if stem != name and there & {f"{stem}.png", f"{stem}.0.png"}:
            raise DataError(
                f"{folder / name}: lies beside its picture, as what was completed does; results are not "
                "completed again, so move them out of that folder, or name the pictures; masks of your "
                "own go into another folder, which --masks names"
            )


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
    seed: int = 0,
    skip_existing: bool = False,
    around: Around = None,
    warn: Callable[[str], None] = log.warning,
) -> Iterator[CompletedFile]:
    """Complete pictures one by one into `out`: NAME.png and NAME.mask.png, white where pixels were made.

    Observed pixels keep their 8-bit values, laid over white where they are transparent unless alpha tells
    what is hidden; EXIF data are dropped, a colour profile is kept where it fits the channels. A run that
    restores whole pictures (`composite: false`) makes every pixel anew, and can do without masks unless its
    generator was shown what its sensor hides. Nothing is ever overwritten: raises DataError before the first
    picture is written when an output exists, when two would be one, when a picture or its mask cannot be
    used, or when there is no `source` and the run needs one. `samples`, `blend`, `seed`, `around`: as
    for `TrainedRun.complete`. With `skip_existing` a picture whose results and mask are all there is not made
    again, and comes first, as `skipped`.
    Pictures in `out` and in the folder of masks are left out where those lie in a folder of pictures.
    `warn` is told, before the first is written, of pictures that are transparent and of those of which more
    than half is hidden.
    """
    run.require_completing()
    run.require_blend(blend)
    run.require_around(around)
    source = replace(source) if source else None  # which lists its folders anew
    if source is None and run.needs_masks:
        raise DataError(WHERE_TOLD)
    planned = _planned(find_pictures(pictures, own_folders(out, source)), out, samples)
    jobs, ready = _to_do(planned, skip_existing)
    looks = [_look(run, job.source, name, source) for name, job in jobs]  # all faults before the first result
    _warn_of_transparency(looks, warn)
    _warn_of_much(looks, source, warn)
    for job in ready:
        yield replace(job, made=float(read_mask(job.mask).mean()), skipped=True)
    for name, job in jobs:
        read = _read(run, job.source, name, source)
        observed = None if read.hidden is None else ~read.hidden
        with _enough_memory(job.source, read.pixels, around):
            fills = run.complete(
                to_float(read.pixels), observed, samples=samples, seed=seed, blend=blend, around=around
            )
        yield _write(run, job, read, fills if samples is not None else fills[None])


@contextmanager
def _enough_memory(path: Path, pixels: Tensor, around: Around) -> Iterator[None]:
    """Raise RunError that says what to do where a picture is too large."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        height, width = pixels.shape[-2:]
        remedy = "leave out --around all" if around == "all" else "cut it in parts, or make it smaller"
        raise RunError(
            f"{path}: out of memory for a picture of {height} x {width} pixels; {remedy}"
        ) from error


def _planned(
    found: Sequence[tuple[Path, Path]], out: Path, samples: int | None
) -> list[tuple[Path, CompletedFile]]:
    """The name of each picture, and what is to be written of it."""
    return [
        (name, CompletedFile(path, _outputs(out / name, samples), out / f"{name}{MASK_ENDING}"))
        for path, name in found
    ]


def _to_do(
    planned: list[tuple[Path, CompletedFile]], skip_existing: bool
) -> tuple[list[tuple[Path, CompletedFile]], list[CompletedFile]]:
    """What is to be done, and what is there. Raises DataError where something would be overwritten."""
    _require_apart([job for _, job in planned])
    ready = {job: None for _, job in planned if skip_existing and all(file.exists() for file in job.files)}
    jobs = [(name, job) for name, job in planned if job not in ready]
    _require_new([file for _, job in jobs for file in job.files], PART_DONE if skip_existing else DONE)
    return jobs, list(ready)


@dataclass(frozen=True)
class _Look:
    """What is worth a warning about a picture."""

    path: Path
    hidden: float  # share of its pixels
    over_white: bool  # transparent in places, and not to tell what is hidden


def _look(run: TrainedRun, path: Path, name: Path, source: MaskSource | None) -> _Look:
    """Read a picture as it will be completed. Raises DataError where it or its mask cannot be used."""
    read = _read(run, path, name, source)
    return _Look(path, 0.0 if read.hidden is None else float(read.hidden.float().mean()), read.over_white)


def _warn_of_transparency(looks: Sequence[_Look], warn: Callable[[str], None]) -> None:
    laid = [look for look in looks if look.over_white]
    if laid:
        warn(
            f"transparent in places, which are laid over white: {_named(laid)}; if they are what is missing, "
            "use --alpha"
        )


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


def _require_apart(jobs: Sequence[CompletedFile]) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        for file in job.files:
            if file in seen:
                raise DataError(
                    f"{file}: two pictures would be written there, {seen[file]} and {job.source}; complete "
                    "them into different folders"
                )
            seen[file] = job.source


def _require_new(files: Sequence[Path], remedy: str = "give another --out") -> None:
    for file in files:
        if file.exists():
            raise DataError(f"{file}: exists already; {remedy}")


@dataclass(frozen=True)
class _Read:
    """A picture as it will be completed."""

    pixels: Tensor  # uint8 (1, C, H, W)
    hidden: Tensor | None  # bool (1, 1, H, W)
    profile: bytes | None
    over_white: bool


def _read(run: TrainedRun, path: Path, name: Path, source: MaskSource | None) -> _Read:
    if has_deep_channels(path):
        raise DataError(f"{path}: has more than 8 bits a channel; convert it to 8 bits first")
    picture = read_picture(path)
    hidden = None if source is None else source.hidden(picture, path, name)
    colours = flattened(path, picture, 3) if source is None else source.colours(picture, path)
    pixels, channels = _pixels(colours), run.image_shape[0]
    if channels == 1:
        _require_grey(path, pixels, hidden)
        pixels = pixels[:, :1]
    over_white = is_transparent(picture) and not (source is not None and source.alpha)
    return _Read(pixels, hidden, _profile(picture, channels), over_white)


def _require_grey(path: Path, pixels: Tensor, hidden: Tensor | None) -> None:
    """By its pixels: grey is kept in palettes and in RGB, too. What is hidden may have any colour."""
    coloured = (pixels != pixels[:, :1]).any(dim=1, keepdim=True)
    if bool((coloured if hidden is None else coloured & ~hidden).any()):
        raise DataError(f"{path}: is in colour, and this run was trained on grey pictures; convert it first")


def _profile(picture: Image.Image, channels: int) -> bytes | None:
    """The picture's ICC profile, unless it is for colours that are not written, such as CMYK."""
    profile = picture.info.get("icc_profile")
    fits = isinstance(profile, bytes) and profile[16:20] == SPACES.get(channels)
    return profile if fits else None


def _write(run: TrainedRun, file: CompletedFile, read: _Read, fills: Tensor) -> CompletedFile:
    pixels, hidden = read.pixels, read.hidden
    made = (
        hidden if run.composite and hidden is not None else torch.ones_like(pixels[:, :1], dtype=torch.bool)
    )
    contents = [_png(torch.where(made, to_eight_bits(fill), pixels)[0], read.profile) for fill in fills]
    contents.append(_png(made[0].to(torch.uint8) * 255))
    file.mask.parent.mkdir(parents=True, exist_ok=True)
    for path, content in zip(file.files, contents, strict=True):  # at one go: a part is hardly ever left
        write_bytes(path, content)
    return replace(file, made=float(made.float().mean()))


def _pixels(picture: Image.Image) -> Tensor:
    """uint8 (1, C, H, W)."""
    array = np.array(picture)
    return (
        torch.from_numpy(array.reshape(picture.height, picture.width, -1)).permute(2, 0, 1)[None].contiguous()
    )


def _png(pixels: Tensor, profile: bytes | None = None) -> bytes:
    """The file of a picture, uint8 (C, H, W)."""
    array: Array = pixels.permute(1, 2, 0).numpy()
    content, picture = BytesIO(), Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)
    picture.save(content, format="PNG", icc_profile=profile)
    return content.getvalue()


def save_pictures(make: Callable[[], Tensor], count: int, out: Path) -> list[Path]:
    """Write what `make` gives, (count, C, H, W) in [-1, 1], as `out`/00000.png and so on; never overwrites.

    Raises DataError where a file is there already, before anything is made.
    """
    files = [out / f"{number:05d}.png" for number in range(count)]
    _require_new(files)
    images = make()
    out.mkdir(parents=True, exist_ok=True)
    for image, file in zip(images, files, strict=True):
        write_bytes(file, _png(to_eight_bits(image)))
    return files
