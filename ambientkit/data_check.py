"""What a data set says and gives, looked at where it is read: few who write one run the contract kit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from ambientkit.errors import DataError
from ambientkit.interfaces import Dataset, Measured


def require_sound(dataset: Dataset, image_size: Sequence[int] | None) -> None:
    """Keys, fingerprint, shape and range, and one sample. Raises DataError that says which is wrong."""
    _require_names(dataset)
    shape, span = tuple(dataset.image_shape), tuple(getattr(dataset, "value_range", ()))
    if len(shape) != 3 or min(shape) < 1:
        raise _fault(dataset, f"`image_shape` is {shape}", "give channels, height and width")
    if len(span) != 2 or not span[0] < span[1]:
        raise _fault(dataset, f"`value_range` is {span}", "give the lowest and the highest value")
    if image_size is not None and shape[1:] != tuple(image_size):
        raise _fault(
            dataset,
            f"its pictures are {shape[1]}x{shape[2]}, and data.image_size asks for "
            f"{image_size[0]}x{image_size[1]} (height x width), to which it does not bring them",
            "leave data.image_size out, and bring the pictures to that size where they come from",
        )
    first, again = (_sample(dataset) for _ in range(2))
    if not torch.equal(first, again):
        what = "the same index gave another sample when it was read again"
        raise _fault(dataset, what, "draw, crop and mirror nothing at random: a sample belongs to its key")


def _sample(dataset: Dataset) -> Tensor:
    """The first sample, NaN aside; a copy, lest it change with the next one."""
    read = measured_of(dataset, [0]).y if dataset.arrives_measured else images_of(dataset, [0])
    return read.nan_to_num().clone()


def _require_names(dataset: Dataset) -> None:
    keys = list(dataset.keys)
    strange = [key for key in keys if not isinstance(key, str)]
    twice = [key for key, times in Counter(keys).items() if times > 1]
    if not keys:
        raise _fault(dataset, "it holds no pictures", "give it some")
    if strange or twice:
        what = f"{strange[0]!r} is no text" if strange else f"{twice[0]!r} comes twice"
        raise _fault(dataset, f"of its `keys` {what}", "what is hidden in a picture is drawn from its name")
    if not hasattr(dataset, "__len__"):
        raise _fault(dataset, "it has no `__len__`", "inherit ambientkit.Dataset, or write it")
    if len(dataset) != len(keys):
        raise _fault(dataset, f"its length is {len(dataset)}, but it has {len(keys)} keys", "make them agree")
    if not isinstance(getattr(dataset, "fingerprint", None), str) or not dataset.fingerprint:
        raise _fault(dataset, "it has no `fingerprint`", "give a text that changes when the pictures do")


def images_of(dataset: Dataset, indices: Sequence[int]) -> Tensor:
    """Clean pictures (n, C, H, W), as they are. Raises DataError where they are not what was declared."""
    images = dataset.images(indices)
    wanted = (len(indices), *dataset.image_shape)
    if not isinstance(images, Tensor) or tuple(images.shape) != wanted:
        have = f"tensor {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise _fault(dataset, f"`images` gave a {have}, not a tensor {wanted}", "see `image_shape`")
    _require_values(dataset, "images", images)
    low, high = dataset.value_range
    if images.is_floating_point() and images.numel():
        least, most = (float(end) for end in images.aminmax())
        span = high - low  # a little beyond is left to the contract kit: a law may have tails
        if not (low - span <= least and most <= high + span):  # NaN too
            raise _fault(
                dataset,
                f"values reach from {least:.4g} to {most:.4g}, and `value_range` says {low:g} to {high:g} "
                f"({dataset.keys[indices[0]]} and what was read with it)",
                "declare the range that they have",
            )
    return images


def measured_of(dataset: Dataset, indices: Sequence[int]) -> Measured:
    """Samples that arrive measured, as they are. Raises DataError where they are not what was declared."""
    measured = dataset.measured(indices)
    if not isinstance(measured, Measured) or not isinstance(measured.y, Tensor):
        raise _fault(
            dataset, f"`measured` gave a {type(measured).__name__}", "return ambientkit.Measured(y, ...)"
        )
    if measured.y.dim() < 1 or len(measured.y) != len(indices):
        have = tuple(measured.y.shape)
        raise _fault(dataset, f"{len(indices)} samples have a y of {have}", "the first axis is theirs")
    _require_values(dataset, "measured", measured.y)
    _require_mask(dataset, measured)
    return measured


def _require_mask(dataset: Dataset, measured: Measured) -> None:
    observed, shape = measured.observed, tuple(measured.y.shape)
    if observed is None:
        return
    fits = tuple(observed.shape) in (shape, (*shape[:1], 1, *shape[2:]))
    if observed.dtype != torch.bool or not fits:
        raise _fault(
            dataset,
            f"`observed` is {tuple(observed.shape)} of {observed.dtype} for a y of {shape}",
            "give a bool mask (n, 1 or C, H, W), True where y carries information",
        )


def _require_values(dataset: Dataset, method: str, values: Tensor) -> None:
    if values.dtype != torch.uint8 and not values.is_floating_point():
        raise _fault(dataset, f"`{method}` gave {values.dtype}", "return uint8 (0..255) or float32")


def _fault(dataset: Dataset, what: str, remedy: str) -> DataError:
    return DataError(f"data set {type(dataset).__name__}: {what}; {remedy}")
