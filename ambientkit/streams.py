"""Random numbers as a function, not a state: the same (seed, name, counters), the same draws.

A run can thus be resumed anywhere, and what is drawn for one thing never depends on how much was
drawn for another, on batch size, workers or the number of processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(seed: int, name: str, *counters: int | str) -> int:
    """A 63-bit seed for the stream `name` at `counters` (lengths are hashed, so no two can collide)."""
    parts = [str(seed), name, *(f"{type(c).__name__}:{c}" for c in counters)]
    text = "".join(f"{len(part)}:{part}" for part in parts)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def stream(seed: int, name: str, *counters: int | str, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator for the stream `name` at `counters`, on `device`."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, name, *counters))


@contextmanager
def global_stream(
    seed: int, name: str, *counters: int | str, device: str | torch.device = "cpu"
) -> Iterator[None]:
    """Let code that draws from torch's global generator (first weights, dropout) draw from a stream.

    The global random state is as before afterwards, on the CPU and on `device`.
    """
    device = torch.device(device)
    number = derived_seed(seed, name, *counters)
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(number)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(number)
        yield
