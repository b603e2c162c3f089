"""What generators and discriminators promise alike: the checks that both contracts have.

A network is used as the engine uses it, and is as it was when a check is over: weights, buffers, modes.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.func import functional_call

from ambientkit.interfaces import Discriminator, Shape
from ambientkit.streams import stream
from ambientkit.testing.contract import NotApplicable, Waits, require
from ambientkit.testing.measurement_case import described, difference, fixed_global_states, same
from ambientkit.testing.pretended import device_complaint, pretended_gpu
from ambientkit.testing.watching import (
    advised,
    mapped,
    require_random_states_kept,
    require_unwritten,
    require_works_or_refuses,
    row,
    works_first,
)

Inputs: TypeAlias = dict[str, Any]
COUNT = 3
"""Pictures in the batch of most checks."""
PASSES = 3
"""Passes in training mode before a network is compared with one that loads its state."""
TOLERANCE = 1e-4
"""Of float32 results that are computed in another order, relative to the largest (or to 1)."""


@dataclass
class NetworkCase:
    """A network under test, and what the engine gives it; `inputs_told` are the arguments of `forward`."""

    network: Any
    inputs_told: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def inputs(self, n: int, name: str = "inputs") -> Inputs:
        """New arguments of `forward` by name, in order; the same bits for the same `n` and `name`."""

    @abstractmethod
    def without(self) -> Mapping[str, Inputs]:
        """Arguments in which something is missing, by what that is."""

    @contextmanager
    def using(self, training: bool = False) -> Iterator[nn.Module]:
        """The network in that mode, under fixed global random states; left where it does not run."""
        self._require_ready()
        with _kept(self.network) as network, fixed_global_states():
            network.train(training)
            yield network

    @torch.no_grad()
    def result(self, inputs: Inputs | None = None) -> Tensor:
        """What the network makes of `inputs` (else of a small batch) in evaluation mode."""
        with self.using() as network:
            return call(network, self.inputs(COUNT) if inputs is None else inputs)

    def require_steady(self) -> None:
        """Leave the check where not even the same input gives the same result twice."""
        if not self._steady:
            raise Waits("the same input has to give the same result first")

    @cached_property
    def _steady(self) -> bool:
        return same(self.result(), self.result())

    def _require_ready(self) -> None:
        if self._unready:
            raise NotApplicable(self._unready)

    @cached_property
    def _unready(self) -> str:
        """Why no other check can say anything, "" where the network runs."""
        try:
            works_first("`forward`", lambda: it_runs(self))
        except NotApplicable as reason:
            return str(reason)
        return ""


def call(network: nn.Module, inputs: Inputs) -> Tensor:
    """The network's answer to copies of the arguments, called as the engine calls it."""
    answer: Tensor = network(*mapped(inputs, torch.clone).values())
    return answer


def uniform(n: int, shape: Shape, *name: str) -> Tensor:
    """`n` tensors of values in [-1, 1], float32, a function of `name`."""
    return torch.rand(n, *shape, generator=stream(0, "contract kit", *name)) * 2 - 1


def some_observed(n: int, height: int, width: int) -> Tensor:
    """Bool (n, 1, H, W): all but a block, which lies elsewhere in each picture."""
    seen = torch.ones(n, 1, height, width, dtype=torch.bool)
    for index in range(n):
        top, left = index % max(1, height // 2), (2 * index) % max(1, width // 2)
        seen[index, :, top : top + max(1, height // 2), left : left + max(1, width // 2)] = False
    return seen


@contextmanager
def _kept(network: nn.Module) -> Iterator[nn.Module]:
    """Weights, buffers and modes are afterwards as they were, and no gradient is left."""
    held = [*network.parameters(), *network.buffers()]
    before = [(tensor, tensor.data, tensor.detach().clone()) for tensor in held]
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield network
    finally:
        for tensor, data, value in before:
            tensor.data = data.copy_(value)
            tensor.grad = None
        for module, mode in modes:
            module.training = mode


def require_close(a: Tensor, b: Tensor, message: str, remedy: str) -> None:
    """Two results agree up to rounding."""
    require(a.shape == b.shape, f"{message}: {tuple(a.shape)} and {tuple(b.shape)}", remedy)
    a, b = a.float(), b.float()
    gap = difference(a, b)
    scale = max(1.0, float(a.abs().nan_to_num(0.0, 0.0, 0.0).max()))
    require(gap <= TOLERANCE * scale, f"{message} by up to {gap:.3g}", remedy)


# Checks -----------------------------------------------------------------------------------------


def it_is_an_nn_module(case: NetworkCase) -> None:
    """The engine trains, copies and saves it as an `nn.Module`."""
    require(
        isinstance(case.network, nn.Module),
        f"it is {described(case.network)}",
        "subclass torch.nn.Module and call super().__init__()",
    )


def it_runs(case: NetworkCase) -> None:
    """`forward` takes what the engine gives it and returns a tensor."""
    if not isinstance(case.network, nn.Module):
        raise Waits("it has to be an nn.Module first")
    takes = advised(f"`forward` is given ({', '.join(case.inputs_told)}), as ambientkit.interfaces says")
    with _kept(case.network) as network, fixed_global_states(), torch.no_grad(), takes:
        answer: object = call(network.eval(), case.inputs(COUNT))
    require(isinstance(answer, Tensor), f"`forward` returned {described(answer)}", "return one tensor")


def results_are_float32(case: NetworkCase) -> None:
    """float32 in, float32 out."""
    dtype = case.result().dtype
    require(
        dtype == torch.float32, f"float32 went in, {dtype} came out", "compute in the dtype of what comes in"
    )


def the_same_input_gives_the_same_result(case: NetworkCase) -> None:
    """In evaluation mode a network is a function."""
    require_close(
        case.result(),
        case.result(),
        "in evaluation mode, two results of the same input differ",
        "switch dropout and noise off where `self.training` is False; take randomness from the latent",
    )


def a_batch_equals_its_parts_one_by_one(case: NetworkCase) -> None:
    """In evaluation mode the result for a picture does not depend on those beside it."""
    case.require_steady()
    inputs = case.inputs(COUNT)
    with case.using() as network, torch.no_grad():
        together = call(network, inputs)
        apart = [call(network, row(inputs, index)) for index in range(COUNT)]
    require_close(
        together,
        torch.cat(apart),
        "in evaluation mode, a batch and its parts one by one differ",
        "use no statistics of the batch where `self.training` is False",
    )


def evaluation_leaves_the_global_random_states(case: NetworkCase) -> None:
    """In evaluation mode nothing is drawn from a global generator."""
    with case.using() as network, torch.no_grad():
        require_random_states_kept(
            lambda: call(network, case.inputs(COUNT)),
            "draw nothing in evaluation mode; a generator's randomness is its latent",
        )


def evaluation_changes_no_state(case: NetworkCase) -> None:
    """In evaluation mode weights and buffers stay as they are."""
    with case.using() as network, torch.no_grad():
        before = _state(network)
        call(network, case.inputs(COUNT))
        changed = [name for name, value in _state(network).items() if not same(value, before[name])]
    require(
        not changed,
        f"a pass in evaluation mode changed {', '.join(changed)}",
        "update statistics only where `self.training` is True",
    )


def inputs_are_not_written_to(case: NetworkCase) -> None:
    """What comes in is used by others afterwards."""
    for training in (False, True):
        inputs = case.inputs(COUNT)
        with case.using(training) as network, torch.no_grad():
            require_unwritten(inputs, lambda: network(*inputs.values()))  # noqa: B023 - called at once


def gradient_reaches_every_weight(case: NetworkCase) -> None:
    """In training mode every weight that asks for a gradient gets a finite one."""
    with case.using(training=True) as network:
        result = call(network, case.inputs(COUNT)).float()
        require(
            result.requires_grad,
            "in training mode the result has no gradient",
            "leave out torch.no_grad() and .detach()",
        )
        (result * uniform(1, tuple(result.shape), "direction")[0]).sum().backward()  # type: ignore[no-untyped-call]
        trained = {name: weight.grad for name, weight in network.named_parameters() if weight.requires_grad}
    missing = [name for name, gradient in trained.items() if gradient is None]
    require(
        not missing,
        f"no gradient reaches {', '.join(missing)}",
        "use the weight in `forward`, without .detach() on the way, or set requires_grad=False",
    )
    bad = [name for name, gradient in trained.items() if not torch.isfinite(gradient).all()]  # type: ignore[arg-type]
    require(
        not bad,
        f"the gradient of {', '.join(bad)} is not finite",
        "look for sqrt, log or a division at 0 in `forward`",
    )


def weights_can_be_saved_and_loaded(case: NetworkCase) -> None:
    """A checkpoint of the state dict, as safetensors, brings the same results back."""
    case.require_steady()
    with case.using() as network, torch.no_grad():
        wanted = call(network, case.inputs(COUNT))
        state = network.state_dict()
        strange = [name for name, value in state.items() if not isinstance(value, Tensor)]
        require(
            not strange,
            f"{', '.join(strange)} in the state dict is no tensor, which safetensors cannot hold",
            "keep state in parameters and buffers, not in get_extra_state()",
        )
        file = save({name: value.contiguous().clone() for name, value in state.items()})
        for value in state.values():
            value.zero_()
        network.load_state_dict(load(file))
        again = call(network, case.inputs(COUNT))
    require_close(
        wanted,
        again,
        "results before saving and after loading differ",
        "keep all state in parameters and persistent buffers",
    )


def training_goes_on_from_saved_weights(case: NetworkCase) -> None:
    """After some passes in training mode, a new network that loads the state dict computes the same there."""
    case.require_steady()
    with case.using(training=True) as network, torch.no_grad():
        fresh = works_first("copy.deepcopy of it", lambda: copy.deepcopy(network))
        for number in range(PASSES):
            call(network, case.inputs(COUNT, f"pass {number}"))
        fresh.load_state_dict(network.state_dict())
        gone_on, resumed = (_drawn_alike(each, case.inputs(COUNT)) for each in (network, fresh))
    require_close(
        gone_on,
        resumed,
        "in training mode, a network and a new one that loaded its state dict differ",
        "keep counts in buffers too: a number of Python's is not in a checkpoint, and begins anew",
    )


def _drawn_alike(network: nn.Module, inputs: Inputs) -> Tensor:
    """Its answer in training mode, with dropout's draws from one seed."""
    with fixed_global_states():
        torch.manual_seed(0)
        return call(network, inputs)


def copies_compute_the_same(case: NetworkCase) -> None:
    """`copy.deepcopy` makes an independent network with the same results (the averaged generator is one)."""
    case.require_steady()
    with case.using() as network, torch.no_grad():
        wanted = call(network, case.inputs(COUNT))
        with advised("make tensors in it parameters or buffers, and none the result of a computation"):
            twin = copy.deepcopy(network)
        got = call(twin, case.inputs(COUNT))
        for weight in twin.parameters():
            weight.add_(1.0)
        kept = call(network, case.inputs(COUNT))
    require_close(wanted, got, "a copy made by copy.deepcopy gives other results", "copy all state in it")
    require_close(
        wanted,
        kept,
        "changing the weights of a copy changes the original",
        "do not share weights with copies",
    )


def channels_last_inputs_are_taken(case: NetworkCase) -> None:
    """Memory layout does not matter: the engine lays pictures and convolutions out channels-last."""
    case.require_steady()
    inputs = case.inputs(COUNT)
    with case.using() as network, torch.no_grad():
        wanted = call(network, inputs)
        network.to(memory_format=torch.channels_last)
        with advised("use reshape or flatten instead of view"):
            got = call(network, mapped(inputs, _channels_last))
    require_close(
        wanted,
        got,
        "channels-last pictures give other results",
        "use reshape or flatten, not view or strides",
    )


def bfloat16_gives_finite_results(case: NetworkCase) -> None:
    """Under bfloat16 autocast, which the engine uses where it is fast, results stay finite."""
    dtypes = advised("make new tensors in the dtype of what goes into them: torch.zeros_like(result)")
    with case.using() as network, torch.no_grad(), dtypes, torch.autocast("cpu", torch.bfloat16):
        result = call(network, case.inputs(COUNT))
    require(
        bool(torch.isfinite(result).all()),
        "under torch.autocast with bfloat16 the result is not finite",
        "compute what needs range or precision in float32: `x.float()` under torch.autocast(enabled=False)",
    )


def tensors_are_made_on_the_device_of_the_inputs(case: NetworkCase) -> None:
    """The result for CUDA tensors is on CUDA; tried with tensors that hold nothing.

    A network that has to look at values (`.item()`, NumPy) cannot be tried so, and passes.
    """
    inputs = case.inputs(COUNT)
    for training in (False, True):
        with case.using(training) as network, torch.no_grad(), pretended_gpu() as to_gpu:
            state = {name: to_gpu(value) for name, value in _held(network).items()}
            arguments = tuple(mapped(inputs, to_gpu).values())
            complaint = device_complaint(lambda: functional_call(network, state, arguments))  # noqa: B023 - called at once
        require(
            not complaint,
            f"`forward`, given tensors on a GPU, {complaint}",
            "keep tensors with register_buffer, and make others with device=x.device",
        )


def what_is_missing_is_refused_by_name(case: NetworkCase) -> None:
    """An input that a sensor or a recipe does not give is done without, or refused with a PluginError."""
    with case.using() as network, torch.no_grad():
        for what, inputs in case.without().items():
            require_works_or_refuses(what, lambda inputs=inputs: call(network, inputs))  # type: ignore[misc]


SHARED: tuple[Callable[[NetworkCase], None], ...] = (
    it_is_an_nn_module,
    it_runs,
    results_are_float32,
    the_same_input_gives_the_same_result,
    a_batch_equals_its_parts_one_by_one,
    evaluation_leaves_the_global_random_states,
    evaluation_changes_no_state,
    inputs_are_not_written_to,
    gradient_reaches_every_weight,
    weights_can_be_saved_and_loaded,
    training_goes_on_from_saved_weights,
    copies_compute_the_same,
    channels_last_inputs_are_taken,
    bfloat16_gives_finite_results,
    tensors_are_made_on_the_device_of_the_inputs,
    what_is_missing_is_refused_by_name,
)


def _state(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in _held(network).items()}


def _held(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def offers_features(network: object) -> bool:
    """Whether a discriminator has features of its own, not the protocol's refusal."""
    return getattr(type(network), "features", None) not in (None, Discriminator.features)
