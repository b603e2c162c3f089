"""The processes of one run: each carries a share of every batch, and all have the same weights.

Started by torchrun, they find each other by its environment. What is random is drawn for the whole batch and
then shared out, so any number of processes sees the same pictures, places and theta'. Gradients and terms
are averaged in one message after the backward pass: it does not matter how often a network was run in it,
or how often a gradient was taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from ambientkit import processes
from ambientkit.containment import one_line
from ambientkit.errors import InputError, RunError
from ambientkit.interfaces import Terms
from ambientkit.meeting import meet
from ambientkit.mishaps import out_of_memory

Carrier = TypeVar("Carrier")
PATIENCE = timedelta(hours=1)  # with numbers, which all processes send at about one time
LONG_PATIENCE = timedelta(days=30)  # with the first process, which measures the data and evaluates alone


@dataclass(frozen=True)
class Group:
    """This process's place among `size` processes; `leads`: it writes, evaluates and speaks for all.

    `job` are the names by which the job is known, one a machine;
    `restarted`: it has started the processes anew after one of them failed, on any machine.
    """

    rank: int = 0
    size: int = 1
    job: tuple[str, ...] = ()
    restarted: bool = False

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def share(self, whole: Carrier) -> Carrier:
        """This process's part of a batch: of everything in it, along the first axis."""
        return part_of(whole, self.rank, self.size)

    def average(self, gradients: Sequence[Tensor], terms: Terms) -> Terms:
        """Replace the gradients by their means over all processes, and return those of the terms."""
        if self.size == 1:
            return terms
        numbers = [torch.stack(list(terms.values())).float()]
        flat = torch.cat([*(each.reshape(-1).float() for each in gradients), *numbers])
        with peers():
            distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [*(each.numel() for each in gradients), len(terms)])
        torch._foreach_copy_(
            list(gradients), [part.view_as(each) for part, each in zip(parts, gradients, strict=False)]
        )
        return dict(zip(terms, parts[-1].unbind(), strict=True))

    def same(self, networks: Sequence[nn.Module]) -> None:
        """Give every process the first one's weights and buffers."""
        if self.size == 1:
            return
        with torch.no_grad(), peers():
            for network in networks:
                for tensor in (*network.parameters(), *network.buffers()):
                    plain = tensor.detach().contiguous()
                    distributed.broadcast(plain, 0)
                    tensor.copy_(plain)

    def any(self, flag: int) -> int:
        """The largest flag of all processes: what one of them was asked to do, all do."""
        return flag if self.size == 1 else max(_of_all(flag))

    def told(self, value: Any) -> Any:
        """The first process's value, for all."""
        if self.size == 1:
            return value
        box = [value]
        with peers():
            distributed.broadcast_object_list(box, 0, group=_control())
        return box[0]

    def close(self) -> None:
        """Leave the group."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
            _groups.clear()

    def divide(self, batch: int, accumulate: int) -> None:
        """Raises InputError where a batch cannot be shared out evenly."""
        parts = self.size * accumulate
        if batch % parts:
            raise InputError(
                f"train.batch_size {batch} cannot be divided among {self.size} processes of {accumulate} "
                f"part{'s' * (accumulate > 1)} each; make it a multiple of {parts}"
            )


def join(device: torch.device) -> Group:
    """Meet the other processes that torchrun has started; alone, there is nothing to meet."""
    own, restarts = processes.job(), processes.restarts()
    if processes.expected() == 1:
        return Group(job=(own,) if own else (), restarted=restarts > 0)
    if not distributed.is_initialized():
        meet("nccl" if device.type == "cuda" else "gloo", PATIENCE)
        with peers():
            _control()  # while all are here
    told = _of_all((own, restarts))
    names = sorted({name for name, _ in told if name})
    return Group(
        distributed.get_rank(), distributed.get_world_size(), tuple(names), any(count for _, count in told)
    )


def _of_all(value: Any) -> list[Any]:
    """What each process says."""
    found = [None] * distributed.get_world_size()
    with peers():
        distributed.all_gather_object(found, value, group=_control())
    return found


_groups: dict[str, Any] = {}


def _control() -> Any:
    """Processes talk about what to do by way of their CPUs, so that no GPU is waited for.

    A process that has ended is noticed there at once, however long others would wait for it.
    """
    if "control" not in _groups:
        _groups["control"] = distributed.new_group(backend="gloo", timeout=LONG_PATIENCE)
    return _groups["control"]


@contextmanager
def peers() -> Iterator[None]:
    """A peer that is gone is told as that."""
    try:
        yield
    except RuntimeError as error:  # what the back ends raise has no type in common
        if out_of_memory(error):
            raise
        raise RunError(
            f"another process of this run has ended, or cannot be reached ({one_line(error)}); "
            "its own message says why. Go on from the last checkpoint with: ambientkit resume"
        ) from error


def shared_count(count: Tensor, least: float = 1) -> Tensor:
    """`count` summed over all processes, at least `least`, over how many these are.

    A mean over something that not every process has equally much of, such as hidden pixels, is
    `values.sum() / shared_count(there.sum())`: averaged over processes, the mean over the whole batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return count.clamp(min=least)
    total = count.detach().float()
    with peers():
        distributed.all_reduce(total)
    return total.clamp(min=least) / distributed.get_world_size()


def shared_mean(value: Tensor) -> Tensor:
    """The mean of `value` over all processes, in each of them; gradients of any order go through it.

    For what is no mean of the parts' own: |mean f(y) - mean f(y^)| of a batch is not the mean of that of
    its shares.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    total: Tensor = _SumOfAll.apply(value)
    return total / distributed.get_world_size()


class _SumOfAll(torch.autograd.Function):
    """The sum over processes; so is the gradient, which each of them adds its part to."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        total = value.clone(memory_format=torch.contiguous_format)
        with peers():
            distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Any:
        return _SumOfAll.apply(gradients[0])


def part_of(whole: Carrier, index: int, parts: int) -> Carrier:
    """Part `index` of `parts` equal ones of a record of tensors, along the first axis of each."""
    if parts == 1:
        return whole
    cut = {each.name: _cut(getattr(whole, each.name), index, parts) for each in fields(whole)}  # type: ignore[arg-type]
    return type(whole)(**cut)


def _cut(value: Tensor | Mapping[str, Tensor] | None, index: int, parts: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: _cut(item, index, parts) for name, item in value.items()}
    return value.chunk(parts)[index]
