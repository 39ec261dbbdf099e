"""A whole training step as one compiled graph: bound, gradient, clipping and Adam's update.

In an eager step of a small VAE, autograd and the optimiser's loop take as long as the matrix
products. In one graph, of which :mod:`vae.training.traced` says how it is made, they are gone.

The graph also looks whether the bound and the gradient are finite. If they are not, it changes
neither weights nor buffers nor the optimiser's state, at this step and at all that follow, and gives
NaN: the check may come later, and finds the weights as they were.

A graph is for one shape of images, and for the Python values that the module had in the trace. For
others there is another one. The first one is checked against eager steps before it is used.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from vae.devices import asynchronous
from vae.training.adam import AdamTensors, is_written_out
from vae.training.remember import remember
from vae.training.step import Step, Trained, clip_, laid_out_as
from vae.training.torch_private import hooked
from vae.training.traced import (
    MOST_GRAPHS,
    Untraceable,
    Watch,
    compiled,
    is_close,
    reason_of,
    trace,
)

__all__ = ["WholeStep"]

ATTEMPTS = 3
"""With other noise: where a sample is a threshold's, rounding can turn one over, and a gradient with
it. Of a graph that is right, the chance of three such draws is less than 1e-4."""


class _Loss(nn.Module):
    """The loss and the bound, each (), of images ``(B, *image)``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        estimate = cast(Trained, self.module).bound(x)
        return estimate.loss, estimate.bound.detach().mean()


class _Graph(NamedTuple):
    """A graph in fast code, and the numbers of the parameters whose gradients it returns."""

    run: Callable[..., Sequence[Tensor]]
    returned: list[int]


class WholeStep(Step):
    """Takes optimiser steps by one graph, with Adam in it; another optimiser steps after it.

    If the step cannot be traced, it says so in one line, and compiles the bound alone.

    Arguments:
        module: What is trained; on its device.
        optimizer: Its optimiser.
        took: Called after each step.
        size: Images of a full batch: other batches, such as an epoch's last one, are taken
            eagerly. None: a graph for every size.
        otherwise: Whether the bound is compiled where the step cannot be one graph.
    """

    def __init__(
        self,
        module: Trained,
        optimizer: Optimizer,
        took: Callable[[], None] = lambda: None,
        size: int | None = None,
        otherwise: bool = True,
    ) -> None:
        super().__init__(module, optimizer, took=took)
        own = cast(nn.Module, module)
        self.loss = _Loss(own)
        self.names = [f"module.{name}" for name, _ in own.named_parameters()]
        names = [name for name, _ in own.named_buffers()]
        places = [name.rpartition(".") for name in names]
        self.buffer_names = [f"module.{name}" for name in names]
        self.places = [(own.get_submodule(path), key) for path, _, key in places]
        self.clipped = {id(p) for p in module.vae.parameters()}
        self.watch = Watch(own, *optimizer.param_groups)
        self.failed = torch.zeros((), dtype=torch.bool, device=self.parameters[0].device)
        self.adam: AdamTensors | None = None
        self.trained: list[int] = []
        self.graphs: dict[Any, _Graph] = {}
        self.made, self.size, self.otherwise = 0, size, otherwise
        self.replaced = ""
        self.eager = Step(module, optimizer)  # of the other sizes
        self.instead: Step | None = None

    def __call__(self, x: Tensor, check: Callable[[Tensor], None] | None = None) -> Tensor:
        graph = self._graph_for(x)
        if graph is None:
            bound = self._take_eagerly(x, check)
        else:
            bound, total = self._run(graph, x)
            if check is not None:
                check(total)
            self._update_eagerly()
        self.took()
        return bound

    def whole(self, x: Tensor) -> tuple[Tensor, Tensor]:
        graph = self._graph_for(x)
        if graph is None:
            return (self.instead or self.eager).whole(x)
        outputs = self._run(graph, x)
        self._update_eagerly()
        return outputs

    def has_failed(self) -> bool:
        return bool(self.failed)

    def prepare(self) -> None:
        if self.adam is not None:
            self.adam.fill_rates()

    def _take_eagerly(self, x: Tensor, check: Callable[[Tensor], None] | None) -> Tensor:
        if self.instead is not None:
            return self.instead(x, check)
        if asynchronous(x.device) and bool(self.failed):  # after a bad step, none is taken
            return torch.full_like(self.failed, torch.nan, dtype=torch.float32)
        bound = self.eager(x, check)
        if self.adam is not None:
            self.zero_grad()  # steps in the graph leave none either
        return bound

    def _run(self, graph: _Graph, x: Tensor) -> tuple[Tensor, Tensor]:
        self.prepare()
        bound, total, *gradients = graph.run(*self._tensors(), x)
        for number, gradient in zip(graph.returned, gradients, strict=True):
            parameter = self.parameters[number]
            parameter.grad = laid_out_as(parameter, gradient)
        return bound, total

    def _update_eagerly(self) -> None:
        if self.adam is None:
            self.optimizer.step()

    def _tensors(self) -> list[Tensor]:
        """All that a graph reads and changes, but the images."""
        own = [] if self.adam is None else self.adam.tensors
        return [self.failed, *(p.data for p in self.parameters), *self._buffers(), *own]

    def _buffers(self) -> list[Tensor]:
        """Those of the module now: ``module.double()``, say, puts others in their places."""
        return [getattr(part, key) for part, key in self.places]

    # Making a graph
    # ------------------------------------------------------------------------------------

    def _graph_for(self, x: Tensor) -> _Graph | None:
        """The graph for such images; None if there is to be none."""
        if self.instead is not None or (self.size is not None and len(x) != self.size):
            return None
        if self.adam is not None and self.adam.groups is not self.optimizer.param_groups:
            self._forget()
        key = (x.shape, x.dtype, self.watch.values())
        if key not in self.graphs:
            started = time.monotonic()
            try:
                self.graphs[key] = self._make(x)
            except Untraceable as reason:
                self._fall_back(x, str(reason))
            self.seconds += time.monotonic() - started
        return self.graphs.get(key)

    def _forget(self) -> None:
        """Forgets all graphs: ``load_state_dict`` gave the optimiser other groups and state."""
        self.graphs.clear()
        self.adam, self.trained = None, []
        self.watch = Watch(cast(nn.Module, self.module), *self.optimizer.param_groups)

    def _fall_back(self, x: Tensor, reason: str) -> None:
        """Compiles the bound alone or, if that fails or is not wanted, nothing."""
        self.graphs.clear()
        what, self.instead = "nothing is compiled", self.eager
        if self.otherwise:
            try:
                bound = Step(self.module, self.optimizer, compiled=True)
                self._trial(lambda x: (bound.differentiate(x),), x, 0)
                what, self.instead = "the bound is compiled", bound
            except Exception as error:  # of many kinds: then it is not
                logging.getLogger(__name__).debug("%s", error)
        if rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            print(f"the step cannot be one graph, since {reason}: {what}", file=sys.stderr)

    def _make(self, x: Tensor) -> _Graph:
        if found := hooked(cast(nn.Module, self.module)):
            raise Untraceable(f"{found[0]} has hooks")
        before = self.watch.values()
        if self.made == MOST_GRAPHS:
            last = list(self.graphs)[-1][-1]
            raise Untraceable(
                f"{next(iter(self.watch.changed(last)), 'something')} keeps changing"
            )
        expected = self._trial(self._step_eagerly, x, 0)
        if self.replaced:
            raise Untraceable(f"each step puts another tensor in the place of {self.replaced}")
        if changed := self.watch.changed(before):
            raise Untraceable(f"{changed[0]}, which is no tensor, changes at every step")
        self.made += 1
        function = trace(self._function, [*self._tensors(), x])
        try:
            graph = _Graph(compiled(function), self.trained if self.adam is None else [])
            for seed in range(ATTEMPTS):
                if seed:
                    expected = self._trial(self._step_eagerly, x, seed)
                if is_close(self._trial(partial(self._run, graph), x, seed), expected):
                    return graph
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of many kinds
            raise Untraceable(reason_of(error)) from error
        raise Untraceable("the graph gives other numbers")

    def _step_eagerly(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """A step as plain torch takes it; finds out which parameters are trained."""
        bound = self.differentiate(x)
        trained = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        own = [self.parameters[i] for i in trained]
        written_out = is_written_out(self.optimizer, own)
        if written_out:
            self.update()
        if trained != self.trained:
            self.graphs.clear()
            self.trained = trained
            self.adam = AdamTensors(self.optimizer, own) if written_out else None
        return bound, bound

    def _trial(
        self, step: Callable[[Tensor], Sequence[Tensor]], x: Tensor, seed: int
    ) -> list[Tensor]:
        """What two steps give, which leave nothing behind: bounds, buffers, and gradients or means
        of them."""
        restore = remember(cast(nn.Module, self.module), self.optimizer, x.device)
        before = self._buffers()
        try:
            torch.manual_seed(seed)
            found = [step(x)[0].detach().clone() for _ in range(2)]
            if self.adam is None:
                gradients = [cast(Tensor, self.parameters[i].grad) for i in self.trained]
            else:
                gradients = self.adam.means
            return found + [t.clone() for t in (*self._buffers(), *gradients)]
        finally:
            self._put_back(before)
            restore()
            self.failed.zero_()

    def _put_back(self, buffers: list[Tensor]) -> None:
        """Undoes what is not done in place; ``replaced`` is the name of such a buffer, if any."""
        self.replaced = ""
        for name, (part, key), buffer in zip(self.buffer_names, self.places, buffers, strict=True):
            if getattr(part, key) is not buffer:
                self.replaced = name.removeprefix("module.")
                setattr(part, key, buffer)

    def _function(self, *tensors: Tensor) -> Sequence[Tensor]:
        """The step as a function of ``_tensors`` and images."""
        failed, *rest, x = tensors
        count, buffers = len(self.parameters), self.buffer_names
        parameters, old, own = rest[:count], rest[count:], rest[count + len(buffers) :]
        leaves = [p.detach().requires_grad_(i in self.trained) for i, p in enumerate(parameters)]
        new = [buffer.clone() for buffer in old[: len(buffers)]]
        with torch.enable_grad():
            values = dict(zip([*self.names, *buffers], [*leaves, *new], strict=True))
            loss, bound = functional_call(self.loss, values, (x,))
            trained = [leaves[i] for i in self.trained]
            gradients = list(torch.autograd.grad(loss, trained))
        total = bound + sum(g.sum() for g in gradients if g.dim() == 1)
        taken = total.isfinite() & ~failed
        failed.copy_(~taken)
        if (limit := self.module.gradient_clip_norm) is not None:
            gradients = [g.clone() for g in gradients]  # two may be one tensor
            pairs = zip(self.trained, gradients, strict=True)
            mine = [g for i, g in pairs if id(self.parameters[i]) in self.clipped]
            clip_(mine, limit, foreach=False)
        for before, after in zip(old, new, strict=False):
            before.copy_(torch.where(taken, after, before))
        outputs = [bound, torch.where(taken, total, torch.nan)]
        if self.adam is None:
            return outputs + gradients
        self.adam.step_([parameters[i] for i in self.trained], gradients, own, taken)
        return outputs
