"""Notes what makes a GPU's host wait, on a CPU, where it costs nothing."""

from __future__ import annotations

import traceback
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = {
    "aten.lift_fresh": "a tensor made of Python's numbers is copied to the device",
    "aten._local_scalar_dense": "the host reads a number",
    "aten.is_nonzero": "the host reads a number",
    "aten.equal": "the host reads an answer",
    "aten.nonzero": "the host asks how many there are",
    "aten.masked_select": "the host asks how many there are",
    "aten._unique2": "the host asks how many there are",
    "aten.bincount": "the host asks how many there are",
    "aten.repeat_interleave": "the host asks how many there are",
}
INDEXING = {"aten.index", "aten.index_put_", "aten.index_put", "aten._index_put_impl_"}


class Waits(TorchDispatchMode):
    """`found`: what was done meanwhile that a GPU would be waited for, with the line of ours that did it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).rpartition(".")[0]
        why = WAITING.get(name)
        if name in INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1]):
            why = "the host asks how many there are"
        if why:
            self.found.add(f"{_place()}: {name}: {why}")
        return func(*args, **(kwargs or {}))


def _place() -> str:
    """The innermost line of the engine or of a plugin."""
    ours = [f for f in traceback.extract_stack() if {"plugins", "ambientkit"} & set(f.filename.split("/"))]
    return f"{ours[-1].filename}:{ours[-1].lineno}" if ours else "?"
