"""Updates as recorded programs: a GPU that is told kernel by kernel waits for the host to tell the next.

An update is run as it is a few times, in steps of the run that count like any other. Then all that it asks of
the GPU is recorded once, as a CUDA graph, and replayed from there on, with batch and draws copied to
where the recording reads them. Draws and batches are made outside, so a recording draws nothing of its
own but what networks do (dropout), and that from the stream that was seeded before it.

A recording holds what the host decided on the way: which terms there are, numbers such as a penalty's factor.
So every such case has a recording of its own, and one that comes only once, as under a ramp, has none.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ambientkit.errors import RunError
from ambientkit.finite import FiniteWatch
from ambientkit.interfaces import Measured, Terms
from ambientkit.mishaps import out_of_memory
from ambientkit.optim import rates_on
from ambientkit.round_trip import Draws
from ambientkit.updates import Game, Player

log = logging.getLogger("ambientkit")

WARM_UP = 3  # runs of a case before it is recorded: what is allocated and tuned once is so by then
CASES = 8  # recordings at most; each holds the memory of an update
SEEN = 64  # cases that are counted at a time
WAITED = re.compile("called a synchronizing CUDA operation")
_told: dict[Any, Any] = {}  # warnings that were passed on: once for each place, as ever

Update = Callable[..., Terms]
Inputs = tuple[Measured, Draws]
Work = Callable[[], Tensor]
Run = Callable[..., Terms]  # of (update, real, draws, *fixed)


class Recorder(Protocol):
    """How work is recorded, and where it is done until then."""

    def aside(self) -> AbstractContextManager[list[str]]:
        """Work is done here as it is; the list then holds where it made the host wait."""
        ...

    def record(self, work: Work) -> tuple[Tensor, Callable[[], None]]:
        """What `work` will give, once the returned function was called: each call does the work anew."""
        ...


def runner_of(game: Game) -> Run:
    """How this game's updates are run: recorded on a GPU where that is asked for, else as they are.

    What several processes say to each other on the way is not recorded.
    """
    machine = game.machine
    if not machine.compiled or machine.device.type != "cuda" or machine.group.size > 1:
        return partial(_as_it_is, game)
    return Recordings(game, CudaGraphs(machine.device))


def _as_it_is(game: Game, update: Update, real: Measured, draws: Draws, *fixed: float) -> Terms:
    return update(game, real, draws, *fixed)


@dataclass
class Recordings:
    """The updates of a game, each recorded once it has been run a few times."""

    game: Game
    recorder: Recorder
    _seen: Counter[Hashable] = field(default_factory=Counter)
    _kept: dict[Hashable, Recording | None] = field(default_factory=dict)  # None: cannot be recorded

    def __post_init__(self) -> None:
        for player in self._players():
            rates_on(player.optimizer, self.game.machine.device)

    def __call__(self, update: Update, real: Measured, draws: Draws, *fixed: float) -> Terms:
        """Run `update(game, real, draws, *fixed)`; `fixed` are numbers that a recording keeps."""
        case = (update.__name__, fixed, _form((real, draws)), self._rates())
        if case not in self._kept and self._ready(case):
            self._kept[case] = Recording.of(self.game, update, (real, draws), fixed, self.recorder)
        recording = self._kept.get(case)
        if recording is not None:
            return recording(real, draws)
        with self.recorder.aside() as waits:
            terms = update(self.game, real, draws, *fixed)
        self._count(case, waits)
        return terms

    def _ready(self, case: Hashable) -> bool:
        return self._seen[case] >= WARM_UP and len(self._kept) < CASES

    def _count(self, case: Hashable, waits: list[str]) -> None:
        if len(self._seen) >= SEEN:
            self._seen.clear()
        self._seen[case] += 1
        if self._seen[case] == WARM_UP and waits and case not in self._kept:
            log.info("an update is not recorded, since it makes the host wait for the GPU at %s", waits[0])
            self._kept[case] = None

    def _players(self) -> list[Player]:
        return [self.game.generator, *([self.game.discriminator] if self.game.discriminator else [])]

    def _rates(self) -> Hashable:
        """The rates that are numbers of the host's; those on the device may change."""
        groups = [group for player in self._players() for group in player.optimizer.param_groups]
        return tuple(
            tuple(value for value in (group["lr"], *group.get("betas", ())) if not isinstance(value, Tensor))
            for group in groups
        )


@dataclass
class Recording:
    """An update that is replayed. What is looked at on the way is told to the game's watch afterwards."""

    inputs: Inputs
    names: list[str]  # of terms
    looks: list[str]  # of what else is watched
    values: Tensor  # of both, where the recording leaves them
    replay: Callable[[], None]
    watch: FiniteWatch

    @classmethod
    def of(
        cls,
        game: Game,
        update: Update,
        inputs: tuple[Measured, Draws],
        fixed: tuple[float, ...],
        by: Recorder,
    ) -> Recording:
        """Record an update. Raises RunError where it cannot be."""
        here, noted = _mapped(torch.clone, inputs), _Noted()
        names: list[str] = []

        def work() -> Tensor:
            terms = update(replace(game, watch=noted), *here, *fixed)
            names.extend(terms)
            return torch.stack([value.float() for value in (*terms.values(), *noted.values.values())])

        try:
            values, replay = by.record(work)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            reason = str(error).strip().splitlines()[0]
            raise RunError(
                f"{update.__name__} cannot be recorded here ({reason}); use --compile off"
            ) from error
        return cls(here, names, list(noted.values), values, replay, game.watch)

    def __call__(self, real: Measured, draws: Draws) -> Terms:
        """The update of another batch."""
        torch._foreach_copy_(_tensors(self.inputs), _tensors((real, draws)))
        self.replay()
        found = self.values.clone().unbind()  # the next replay writes there
        for name, value in zip(self.looks, found[len(self.names) :], strict=True):
            self.watch.look(name, value)
        return dict(zip(self.names, found, strict=False))


class _Noted(FiniteWatch):
    """Keeps what it is to look at: a number that is recorded cannot be asked."""

    def __init__(self) -> None:
        super().__init__(deferred=True)
        self.values: dict[str, Tensor] = {}

    def look(self, what: str, value: Tensor) -> None:
        self.values[what] = value.detach()


class CudaGraphs:
    """Recordings on a GPU. All share their memory: they are replayed one after the other."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # the default one cannot be recorded
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def aside(self) -> Iterator[list[str]]:
        """On the stream that is recorded later, so that nothing on the way belongs to another."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream), waits_noted() as waits:
            yield waits
        current.wait_stream(self._stream)

    def record(self, work: Work) -> tuple[Tensor, Callable[[], None]]:
        """A CUDA graph of `work`; threads that read ahead may go on meanwhile."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
            values = work()
        return values, graph.replay


@contextmanager
def waits_noted() -> Iterator[list[str]]:
    """Where the host was made to wait for the GPU meanwhile: FILE:LINE of each; it can be read afterwards."""
    waits: list[str] = []
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield waits
        finally:
            torch.cuda.set_sync_debug_mode(before)
    for warning in caught:
        if WAITED.search(str(warning.message)):
            waits.append(f"{warning.filename}:{warning.lineno}")
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno, registry=_told
            )


# Records of tensors -----------------------------------------------------------------------------


def _mapped(change: Callable[[Tensor], Tensor], whole: Any) -> Any:
    """The same tuples, records and mappings with each tensor changed."""
    if isinstance(whole, Tensor):
        return change(whole)
    if isinstance(whole, tuple):
        return tuple(_mapped(change, each) for each in whole)
    if isinstance(whole, Mapping):
        return {name: _mapped(change, each) for name, each in whole.items()}
    if whole is None:
        return None
    return type(whole)(**{each.name: _mapped(change, getattr(whole, each.name)) for each in fields(whole)})


def _tensors(whole: Any) -> list[Tensor]:
    """Every tensor in it, in the same order each time."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    _mapped(keep, whole)
    return found


def _form(whole: Any) -> Hashable:
    """What must be the same for a recording to read it: which tensors there are, and how they lie."""
    if isinstance(whole, Tensor):
        return tuple(whole.shape), whole.dtype, str(whole.device)
    if isinstance(whole, tuple):
        return tuple(_form(each) for each in whole)
    if isinstance(whole, Mapping):
        return tuple((name, _form(each)) for name, each in sorted(whole.items()))
    return None if whole is None else tuple(_form(getattr(whole, each.name)) for each in fields(whole))
