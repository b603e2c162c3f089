"""Records updates where there is no GPU: a list of torch's operations, done anew at each replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from ambientkit.recording import Work


class Tracer:
    """A recorder as a GPU's: what the host decides on the way is decided once, and only operations are kept.

    It refuses what a GPU could not record either: a number that the host reads (RuntimeError).
    """

    def __init__(self, waits: list[str] | None = None) -> None:
        self.waits = waits or []
        self.recorded = 0
        self.replayed = 0
        self.as_it_is = 0

    @contextmanager
    def aside(self, watched: bool) -> Iterator[list[str]]:
        self.as_it_is += 1
        yield list(self.waits) if watched else []

    def record(self, work: Work) -> tuple[torch.Tensor, Callable[[], None]]:
        """Tracing does the work, which a GPU would not; so the first replay has only to hand it over."""
        found: list[torch.Tensor] = []

        def traced() -> torch.Tensor:
            values = work()
            found.append(values.detach().clone())
            return values

        program = make_fx(traced)()
        values = torch.full_like(found[0], torch.nan)
        self.recorded += 1
        begun = False

        @torch.no_grad()
        def replay() -> None:
            nonlocal begun
            values.copy_(program() if begun else found[0])
            begun = True
            self.replayed += 1

        return values, replay
