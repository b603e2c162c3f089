"""Where the time of a step of ambientkit's own loop goes, by families of operations."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from .setting import Setting
from .turns import Over

WARM_UP = 3  # steps before the first that counts
FAMILIES = {
    "convolutions, backward": "convolution_backward ConvolutionBackward",
    "convolutions, forward": "convolution _convolution mkldnn_convolution conv2d conv_transpose2d",
    "batch norm": "batch_norm native_batch_norm _batch_norm native_batch_norm_backward "
    "NativeBatchNormBackward",
    "activations": "relu leaky_relu leaky_relu_backward clamp_min threshold_backward tanh "
    "tanh_backward softplus ReluBackward LeakyReluBackward "
    "TanhBackward SoftplusBackward",
    "casts and copies": "copy_ _to_copy to contiguous clone cat flatten reshape ToCopyBackward CatBackward",
    "matrices and vectors (spectral norm, last layers)": "mv addmv mm addmm bmm linear dot vdot matmul "
    "AddmmBackward MvBackward",
    "Adam": "_fused_adam Optimizer.step",
    "norms (of gradients, in spectral norm)": "_foreach_norm linalg_vector_norm",
    "the average": "_foreach_lerp lerp",
    "memory": "empty zero zeros ones fill resize as_strided",
    "arithmetic (spectral norm's division, composites, losses)": "add sub mul div neg sum mean where "
    "AddBackward SubBackward MulBackward DivBackward NegBackward SumBackward MeanBackward WhereBackward",
}
PLACES = re.compile(r"^(aten::|autograd::engine::evaluate_function: )")  # before the name of an operation
VARIANTS = re.compile(r"(_like|_strided)?_?[0-9]*(_\.default)?(#.*)?$")  # after it


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
    """The family that lists an operation, whatever variant of it this is."""
    name = PLACES.sub("", operation)
    plain = {name, VARIANTS.sub("", name)}
    found = (family for family, names in FAMILIES.items() if plain & set(names.split()))
    return next(found, "all else")
