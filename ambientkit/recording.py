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
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from ambientkit.finite import FiniteWatch
from ambientkit.interfaces import Measured, Terms
from ambientkit.optim import rates_on
from ambientkit.round_trip import Draws
from ambientkit.updates import Game, Player

log = logging.getLogger("ambientkit")

WARM_UP = 3  # runs of a case before it is recorded: what is allocated and tuned once is so by then
CASES = 8  # recordings at most
SEEN = 64  # cases that are counted at a time
WAITED = re.compile("called a synchronizing CUDA operation")
OWN = ".*(Synchronization debug mode is a prototype|capturable=False)"  # warnings of how it is done here

Update = Callable[..., Terms]
Inputs = tuple[Measured, Draws]
Work = Callable[[], Tensor]
Run = Callable[..., Terms]  # of (update, real, draws, *fixed)


class Recorder(Protocol):
    """How work is recorded, and where it is done until then."""

    def aside(self, watched: bool) -> AbstractContextManager[list[str]]:
        """Work is done here as it is; `watched`: the list then holds where it made the host wait."""
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
    _sound: bool = True  # whether no recording has failed

    def __post_init__(self) -> None:
        for player in self._players():
            rates_on(player.optimizer, self.game.machine.device)

    def __call__(self, update: Update, real: Measured, draws: Draws, *fixed: float) -> Terms:
        """Run `update(game, real, draws, *fixed)`; `fixed` are numbers that a recording keeps."""
        case = (update.__name__, fixed, _form((real, draws)), self._rates())
        if case not in self._kept and self._ready(case):
            self._kept[case] = self._recorded(update, (real, draws), fixed)
        recording = self._kept.get(case)
        if recording is not None:
            return recording(real, draws)
        self._count(case)
        last = self._seen[case] == WARM_UP and case not in self._kept
        with self.recorder.aside(watched=last) as waits:
            terms = update(self.game, real, draws, *fixed)
        if waits:
            _say_unrecorded(update, f"it makes the host wait for the GPU at {waits[0]}")
            self._kept[case] = None
        return terms

    def _ready(self, case: Hashable) -> bool:
        return self._sound and self._seen[case] >= WARM_UP and sum(map(bool, self._kept.values())) < CASES

    def _recorded(self, update: Update, inputs: Inputs, fixed: tuple[float, ...]) -> Recording | None:
        """What is recorded is not done, so where that fails nothing is lost; but torch may be in disorder:

        what was recorded before is not replayed any more either.
        """
        try:
            return Recording.of(self.game, update, inputs, fixed, self.recorder)
        except RuntimeError as error:
            _say_unrecorded(update, f"{_cause(error)}; nothing is recorded any more in this run")
            self._sound = False
            self._kept = dict.fromkeys(self._kept)
            return None

    def _count(self, case: Hashable) -> None:
        if len(self._seen) >= SEEN:
            self._seen.clear()
        self._seen[case] += 1

    def _players(self) -> list[Player]:
        return [self.game.generator, *([self.game.discriminator] if self.game.discriminator else [])]

    def _rates(self) -> Hashable:
        """The rates that are numbers of the host's; those on the device may change."""
        groups = [group for player in self._players() for group in player.optimizer.param_groups]
        return tuple(
            tuple(value for value in (group["lr"], *group.get("betas", ())) if not isinstance(value, Tensor))
            for group in groups
        )


def _say_unrecorded(update: Update, reason: str) -> None:
    log.warning("%s is run as it is and not recorded: %s", update.__name__, reason)


def _cause(error: BaseException) -> str:
    """What went wrong first: torch's own way out of a recording that failed fails too, and hides it."""
    while isinstance(error.__context__, RuntimeError) and not error.__suppress_context__:
        error = error.__context__
    return " ".join(str(error).split())[:300]


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
        cls, game: Game, update: Update, inputs: Inputs, fixed: tuple[float, ...], by: Recorder
    ) -> Recording:
        """Record an update. Raises RuntimeError where it cannot be."""
        here, noted = _mapped(torch.clone, inputs), _Noted()
        names: list[str] = []

        def work() -> Tensor:
            terms = update(replace(game, watch=noted), *here, *fixed)
            names.extend(terms)
            return torch.stack([value.float() for value in (*terms.values(), *noted.values)])

        values, replay = by.record(work)
        return cls(here, names, noted.whats, values, replay, game.watch)

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
        self.whats: list[str] = []
        self.values: list[Tensor] = []

    def look(self, what: str, value: Tensor) -> None:
        self.whats.append(what)
        self.values.append(value.detach())


class CudaGraphs:
    """Recordings on a GPU. All share their memory: they are replayed one after the other."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # the default one cannot be recorded
        self._pool = torch.cuda.graph_pool_handle()
        self._failed: list[torch.cuda.CUDAGraph] = []
        warnings.filterwarnings("ignore", f"(?s){OWN}")

    @contextmanager
    def aside(self, watched: bool) -> Iterator[list[str]]:
        """On the stream that is recorded later, so that nothing on the way belongs to another."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        noting: AbstractContextManager[list[str]] = waits_noted() if watched else nullcontext([])
        with torch.cuda.stream(self._stream), noting as waits:
            yield waits
        current.wait_stream(self._stream)

    def record(self, work: Work) -> tuple[Tensor, Callable[[], None]]:
        """A CUDA graph of `work`; threads that read ahead may go on meanwhile."""
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self._stream.device)
        try:
            with (
                self._here(),
                torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"),
            ):
                values = work()
        except BaseException:
            self._failed.append(graph)  # torch's allocator may refer to it still
            self._leave()
            raise
        finally:
            torch.cuda.set_stream(current)  # a recording that fails leaves its own
        return values, graph.replay

    def _here(self) -> AbstractContextManager[None]:
        """Torch looks at the current GPU before it records on a stream, be that another's."""
        return torch.cuda.device(self._stream.device)

    def _leave(self) -> None:
        """End what torch leaves begun where a recording fails: the pool, and (to 2.11) the draws' part."""
        index = self._stream.device.index
        with suppress(RuntimeError):
            torch._C._cuda_endAllocateToPool(index, self._pool)
        with suppress(RuntimeError):  # a copy of its state is of no recording
            generator = torch.cuda.default_generators[index]
            generator.graphsafe_set_state(generator.clone_state())


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
        elif not re.match(OWN, str(warning.message), re.DOTALL):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


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
    """What must be the same for a recording to read it: which tensors there are, in which order."""
    if isinstance(whole, Tensor):
        return tuple(whole.shape), whole.dtype, str(whole.device)
    if isinstance(whole, tuple):
        return tuple(_form(each) for each in whole)
    if isinstance(whole, Mapping):
        return tuple((name, _form(each)) for name, each in whole.items())
    return None if whole is None else tuple(_form(getattr(whole, each.name)) for each in fields(whole))
