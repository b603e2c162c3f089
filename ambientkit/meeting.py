"""How the processes of a run find each other, however often torchrun has started them anew."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from torch import distributed
from torch._C._distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from ambientkit.containment import one_line
from ambientkit.errors import RunError
from ambientkit.mishaps import out_of_memory

PAUSE = 0.05  # seconds


def meet(backend: str, patience: timedelta) -> None:
    """Begin torch's process group, as torchrun's environment or the like says.

    Processes that torchrun starts anew find the store of those that failed, with the addresses of these in
    it; so each attempt has a part of its own there. Raises RunError where the others cannot be met.
    """
    with _nobody_came():
        store, rank, size = next(rendezvous("env://", timeout=patience))
        attempt = PrefixStore(agreed(store, rank, size, patience), store)
        distributed.init_process_group(backend, store=attempt, rank=rank, world_size=size, timeout=patience)


def agreed(store: Any, rank: int, size: int, patience: timedelta) -> str:
    """A name that no earlier attempt had, the same in all processes.

    Each of the others asks with a word of its own, and waits for what the first one answers to that word;
    who asked in an earlier attempt is answered too, and does not hear it.
    """
    word = uuid.uuid4().hex
    if rank:
        store.set(f"asks/{rank}", word)
        name: str = store.get(f"answer/{word}").decode()
        store.set(f"heard/{name}/{rank}", "")
        return name
    waited_for, deadline = set(range(1, size)), time.monotonic() + patience.total_seconds()
    while waited_for:
        waited_for = {other for other in waited_for if not _heard(store, other, word)}
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {min(waited_for)} did not come")
        time.sleep(PAUSE if waited_for else 0)
    return word


def _heard(store: Any, rank: int, name: str) -> bool:
    """Whether process `rank` has the name; it is answered where it asks."""
    if store.check([f"asks/{rank}"]):
        store.set(f"answer/{store.get(f'asks/{rank}').decode()}", name)
    return bool(store.check([f"heard/{name}/{rank}"]))


@contextmanager
def _nobody_came() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        raise RunError(
            f"the processes of this run did not find each other ({one_line(error)}); look for the message of "
            "one that ended, and whether MASTER_ADDR and MASTER_PORT can be reached from all"
        ) from error
