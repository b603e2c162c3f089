"""Random numbers as a function, not a state: the same (seed, name, counters), the same draws.

A run can thus be resumed anywhere, and what is drawn for one thing never depends on how much was
drawn for another, on batch size, workers or the number of processes.
"""

from __future__ import annotations

import hashlib

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
