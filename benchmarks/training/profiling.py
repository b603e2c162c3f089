"""Where the time of a step of ambientkit's own loop goes, by families of operations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from .setting import Setting
from .turns import Over

WARM_UP = 3  # steps before the first that counts
FAMILIES = {
    "convolutions, backward": ("convolution_backward", "ConvolutionBackward"),
    "convolutions, forward": ("convolution", "conv2d", "conv_transpose2d"),
    "batch norm": ("batch_norm", "BatchNorm"),
    "other norms": ("group_norm", "layer_norm", "instance_norm"),
    "activations": ("relu", "threshold", "tanh", "sigmoid", "softplus", "elu", "Relu"),
    "casts and copies": ("copy", "_to", "contiguous", "clone", "cat", "flatten", "reshape"),
    "matrix and vector products (spectral norm, last layers)": ("mv", "mm", "linear", "dot", "bmm"),
    "Adam": ("adam",),
    "norms of gradients": ("_foreach_norm", "linalg_vector_norm"),
    "the average": ("lerp",),
    "memory": ("empty", "zero", "fill", "resize", "as_strided"),
    "arithmetic (spectral norm's division, composites, losses)": (
        *("add", "sub", "mul", "div", "neg", "sum", "mean", "where", "Add", "Sub", "Mul", "Div", "Neg"),
    ),
}


class Watch:
    """A step's profiler, in the place of a contest's turns."""

    def __init__(self, steps: int) -> None:
        self._begins, self._ends, self._done = WARM_UP, WARM_UP + steps, 0
        self.profile = profile(activities=[ProfilerActivity.CPU], acc_events=True)

    def stepped(self) -> None:
        """A step is done. Raises Over when the last was seen."""
        self._done += 1
        if self._done == self._begins:
            self.profile.start()
        if self._done == self._ends:
            self.profile.stop()
            raise Over


def shares(play: Callable[[Setting, Any], None], setting: Setting, steps: int) -> dict[str, Any]:
    """Milliseconds a step of each family, by the operations' own time, most first."""
    watch = Watch(steps)
    torch.set_num_threads(setting.threads)
    with suppress(Over):
        play(setting, watch)
    times: dict[str, float] = {}
    for event in watch.profile.key_averages():
        family = family_of(event.key)
        times[family] = times.get(family, 0.0) + event.self_cpu_time_total / 1000 / steps
    return dict(sorted(times.items(), key=lambda each: -each[1]))


def family_of(operation: str) -> str:
    """The first family that has a part of the operation's name."""
    found = (name for name, parts in FAMILIES.items() if any(part in operation for part in parts))
    return next(found, "all else")
