"""The contract of data sets: `check_dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ambientkit.interfaces import Measured
from ambientkit.testing.contract import (
    Checks,
    Finding,
    Waits,
    Waivers,
    not_applicable,
    require,
)
from ambientkit.testing.measurement_case import described, fixed_global_states, mask_complaint, same
from ambientkit.testing.watching import named_tensors, require_random_states_kept, works_first


@dataclass
class DatasetCase:
    """A data set under test; a few of its pictures are asked for."""

    dataset: Any

    @property
    def arrives_measured(self) -> bool:
        """Whether it delivers measurements instead of pictures."""
        return bool(getattr(self.dataset, "arrives_measured", False))

    @property
    def size(self) -> int:
        """Number of pictures."""
        return works_first("`keys`", lambda: len(self.dataset.keys))

    @property
    def some(self) -> list[int]:
        """A few indices, not in order, one of them twice."""
        last = self.size - 1
        return [last, 0, last // 2, last]

    def batch(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The tensors of some pictures by name; leaves the check where they do not come."""
        with fixed_global_states():
            answer: object = works_first(f"`{self.method}`", lambda: self.ask(indices))
        if not isinstance(answer, self.kind):
            raise Waits(f"`{self.method}` has to return a {self.kind.__name__} first")
        return named_tensors(answer, self.method)

    def steady(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """The same; leaves the check where asking twice gives two answers."""
        once, again = self.batch(indices), self.batch(indices)
        if any(not same(value, again[name]) for name, value in once.items()):
            raise Waits("the same index has to give the same sample first")
        return once

    def ask(self, indices: Sequence[int]) -> Tensor | Measured:
        """What the data set returns; whatever it raises comes through."""
        return getattr(self.dataset, self.method)(indices)  # type: ignore[no-any-return]

    @property
    def kind(self) -> type:
        """What it returns."""
        return Measured if self.arrives_measured else Tensor

    @property
    def method(self) -> str:
        """Where samples come from."""
        return "measured" if self.arrives_measured else "images"


DATASET_CHECKS: Checks[DatasetCase] = Checks()


def check_dataset(dataset: Any, *, name: str | None = None, waived: Waivers | None = None) -> list[Finding]:
    """Hold a data set to its contract; it needs one picture or more.

    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    return DATASET_CHECKS.require(name or type(dataset).__name__, DatasetCase(dataset), waived)


@DATASET_CHECKS.add
def keys_are_names(case: DatasetCase) -> None:
    """One or more, each a text that no other picture has."""
    keys = list(case.dataset.keys)
    require(keys, "there is no key, so there is no picture", "refuse an empty data set with a DataError")
    strange = [key for key in keys if not isinstance(key, str) or not key]
    require(
        not strange,
        f"the key {strange[0]!r} is no name" if strange else "",
        "use the relative path or a hash of the content: what is hidden in a picture is drawn from its key",
    )
    twice = len(keys) - len(set(keys))
    require(
        not twice, f"{twice} keys occur more than once", "make keys unique, as by the path below the root"
    )


@DATASET_CHECKS.add
def the_length_is_the_number_of_keys(case: DatasetCase) -> None:
    """`len(dataset)` and `keys` agree."""
    length, keys = len(case.dataset), case.size
    require(length == keys, f"len() is {length}, but there are {keys} keys", "inherit __len__ from Dataset")


@DATASET_CHECKS.add
def the_fingerprint_is_a_text_that_lasts(case: DatasetCase) -> None:
    """It is the same before and after pictures were read."""
    before = case.dataset.fingerprint
    require(
        isinstance(before, str) and before,
        f"`fingerprint` is {before!r}",
        "hash what the pictures depend on: names, sizes, times, options",
    )
    case.batch([0])
    require(
        case.dataset.fingerprint == before,
        "`fingerprint` changed after a picture was read",
        "compute it once, from the data, not from the object or the clock",
    )


@DATASET_CHECKS.add
def declarations_are_of_their_types(case: DatasetCase) -> None:
    """`image_shape` is (C, H, W), `value_range` is [low, high], `skipped` names no key."""
    shape = case.dataset.image_shape
    sides = isinstance(shape, tuple) and len(shape) == 3 and all(isinstance(s, int) and s > 0 for s in shape)
    require(sides, f"`image_shape` is {shape!r}", "set it to a tuple of three ints: channels, height, width")
    bounds = tuple(getattr(case.dataset, "value_range", ()))
    numbers = len(bounds) == 2 and all(isinstance(bound, float | int) for bound in bounds)
    ordered = numbers and bounds[0] < bounds[1]
    require(ordered, f"`value_range` is {bounds!r}", "set it to (lowest, highest), two floats")
    both = set(getattr(case.dataset, "skipped", ())) & set(case.dataset.keys)
    require(
        not both,
        f"{sorted(map(str, both))[:3]} are both skipped and keys",
        "leave what is skipped out of keys",
    )


@DATASET_CHECKS.add
def samples_come(case: DatasetCase) -> None:
    """`images` returns a tensor, of data that arrive measured `measured` a Measured."""
    with fixed_global_states():
        answer: object = case.ask([0])
    require(
        isinstance(answer, case.kind),
        f"`{case.method}` returned {described(answer)}",
        f"return a {'Measured' if case.arrives_measured else 'tensor (n, C, H, W)'}",
    )


@DATASET_CHECKS.add
def samples_have_the_declared_shape(case: DatasetCase) -> None:
    """Images (n, *image_shape); of measured samples, the first axis of all, and `observed` is a mask."""
    for count in (1, 2, 4):
        indices = (case.some * 4)[:count]
        batch = case.batch(indices)
        for name, value in batch.items():
            require(
                value.dim() >= 1 and len(value) == count,
                f"{count} samples gave {name!r} as {described(value)}",
                "the first axis is that of the indices",
            )
        if not case.arrives_measured:
            shape, wanted = tuple(batch["images"].shape[1:]), tuple(case.dataset.image_shape)
            require(shape == wanted, f"pictures are {shape}, `image_shape` says {wanted}", "make them agree")
        elif "measured.observed" in batch:
            complaint = mask_complaint(batch["measured.observed"], count, tuple(case.dataset.image_shape))
            require(not complaint, f"`observed` is wrong: {complaint}", "True where y carries information")


@DATASET_CHECKS.add
def samples_have_a_known_type_and_range(case: DatasetCase) -> None:
    """uint8 or float32; images within `value_range`, measurements finite where they were observed."""
    batch = case.batch(case.some)
    values = batch["measured.y" if case.arrives_measured else "images"]
    require(
        values.dtype in (torch.uint8, torch.float32),
        f"values are {values.dtype}",
        "return uint8 (0..255) or float32",
    )
    observed = batch.get("measured.observed")
    seen = values
    if observed is not None:
        seen = works_first("`observed`", lambda: values[observed.expand_as(values)])
    require(
        bool(torch.isfinite(seen.float()).all()),
        "some values are NaN or infinite",
        "refuse them with a DataError",
    )
    if values.dtype == torch.uint8 or case.arrives_measured:
        return
    low, high = case.dataset.value_range
    least, most = float(values.min()), float(values.max())
    require(
        low <= least and most <= high,
        f"values reach from {least:.4g} to {most:.4g}, `value_range` says [{low:g}, {high:g}]",
        "declare the range that the values have",
    )


@DATASET_CHECKS.add
def the_same_index_gives_the_same_sample(case: DatasetCase) -> None:
    """A sample is a function of its index: nothing is drawn, cropped or mirrored at random."""
    once, again = case.batch(case.some), case.batch(case.some)
    changed = [name for name, value in once.items() if name not in again or not same(value, again[name])]
    require(
        not changed,
        f"asked twice for the same, {' and '.join(changed)} differ",
        "leave augmentation out: every picture is measured exactly once",
    )


@DATASET_CHECKS.add
def samples_come_in_the_order_of_the_indices(case: DatasetCase) -> None:
    """Row i is the sample of indices[i]; an index may come twice."""
    together = case.steady(case.some)
    apart = [case.batch([index]) for index in case.some]
    for name, value in together.items():
        rows = works_first("a sample alone", lambda name=name: torch.cat([one[name] for one in apart]))  # type: ignore[misc]
        require(
            same(value, rows),
            f"{name!r} of indices {case.some} is not that of each index alone",
            "row i belongs to indices[i]; do not sort them or drop one that comes twice",
        )


@DATASET_CHECKS.add
def an_index_that_is_not_there_is_refused(case: DatasetCase) -> None:
    """An index from len() on raises an error, and does not give another picture."""
    case.batch([0])
    try:
        case.ask([case.size])
    except Exception:  # IndexError, DataError: any says that there is no such picture
        return
    require(
        False, f"index {case.size} of {case.size} samples gave one", "raise IndexError or a DataError for it"
    )


@DATASET_CHECKS.add
def arrives_measured_is_declared_honestly(case: DatasetCase) -> None:
    """There are images or measured samples, never both: what arrives measured has no clean version."""
    case.batch([0])
    other = "images" if case.arrives_measured else "measured"
    try:
        getattr(case.dataset, other)([0])
    except Exception:  # absent or refused
        return
    require(
        False,
        f"`arrives_measured` is {case.arrives_measured}, but `{other}` gives samples too",
        f"leave `{other}` as Dataset has it, which refuses",
    )


@DATASET_CHECKS.add
def samples_are_copies(case: DatasetCase) -> None:
    """Who writes into a sample does not change the data."""
    for indices in ([0], list(range(min(2, case.size)))):
        before = {name: value.clone() for name, value in case.steady(indices).items()}
        handed = case.batch(indices)
        for value in handed.values():
            value.copy_(torch.zeros_like(value) if value.any() else torch.ones_like(value))
        after = case.batch(indices)
        changed = [name for name, value in before.items() if not same(value, after[name])]
        for name, value in handed.items():
            value.copy_(before[name])  # the data are as they were
        require(
            not changed,
            f"writing into the returned {' and '.join(changed)} changed the data set's own",
            "return a copy, as by tensor[indices].clone()",
        )


@DATASET_CHECKS.add
def global_random_states_are_left_alone(case: DatasetCase) -> None:
    """Reading draws nothing from a global generator."""
    case.batch(case.some)
    require_random_states_kept(lambda: case.ask(case.some), "use a generator seeded from the picture's key")


@DATASET_CHECKS.add
def an_observed_mask_says_something(case: DatasetCase) -> None:
    """Where samples say what was observed, every one of them shows a pixel."""
    batch = case.batch(case.some)
    if "measured.observed" not in batch:
        not_applicable("samples say not what was observed")
    empty = ~batch["measured.observed"].flatten(1).any(1)
    require(
        not bool(empty.any()),
        f"{int(empty.sum())} of {len(empty)} samples show no pixel at all",
        "`observed` is True where a pixel was seen: is the mask inverted?",
    )
