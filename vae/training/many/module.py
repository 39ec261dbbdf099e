r"""Many models at once: S models of one architecture, trained as one batched computation.

Stack the parameters of S models along a new first dimension, and a training step is one function
of one model, mapped over that dimension::

    vmap(grad_and_value(loss))(parameters, buffers, model, x)  # each (S, ...)

What were S matrix products is one batched product; what were S kernels is one. Adam is elementwise
and takes the stack as it is.

**Every model takes the steps that it would take alone, to rounding.** It has its own initial
weights, order of images, binarisation and latent noise: its own *stream* of random numbers.
:class:`Streams` intercepts whatever is drawn inside the map, and lets each model draw its slice
from its own generator, which starts where the construction of the model left the global one.
In float64 the weights are those of a run of its own to 1e-12 (``tests/training/test_ensemble.py``); in
float32 the two part at 1e-8, and training may carry that on: to 1e-7 after 240 steps for most, to
6e-3 for RELAX under IWAE.

The members' parameters are views of the stack. So each is an ordinary module all along, which
evaluates, is annealed and is saved as if there were no others.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple, cast

import torch
from lightning.pytorch import LightningModule, seed_everything
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim import Optimizer

from vae.analysis import evaluation
from vae.distributions.operations import parameters
from vae.models.schedules import fill
from vae.training.many.streams import Streams, on_device
from vae.training.module import VAEModule
from vae.training.optimizers import is_elementwise
from vae.training.step import clip_

__all__ = ["Ensemble", "VARIABLE", "check_mappable", "seeded"]


VARIABLE = (
    "lr",
    "estimator_lr",
    "beta",
    "beta_warmup",
    "temperature",
    "temperature_min",
    "anneal_rate",
    "anneal_every",
    "prior_temperature",
)
"""The hyper-parameters in which models may differ: they are in a buffer, a schedule, or the
optimiser's groups. Any other is a Python number inside the one function that is mapped."""


def seeded(seed: int, make: Callable[[], VAEModule]) -> tuple[VAEModule, torch.Generator]:
    """A model with the weights that a run of its own would start with, and its generator.

    The generator is in the state in which drawing the weights leaves the global one.
    """
    seed_everything(seed, workers=True, verbose=False)
    module = make()
    return module, torch.Generator().set_state(torch.get_rng_state())


class _Loss(nn.Module):
    """The loss of one model and its bound, each (), of images ``(B, *image)``: nats an image."""

    def __init__(self, module: VAEModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        estimate = self.module.bound(x)
        return estimate.loss, estimate.bound.detach().mean()


def _gradients(
    template: _Loss,
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    generators: Sequence[torch.Generator],
    x: Tensor,
) -> tuple[dict[str, Tensor], Tensor]:
    """The gradient of each model's loss, and its bound (S,).

    Arguments:
        template: Any of the models: what is computed, with the numbers below in place of its own.
        parameters: Of all models, ``(S, *shape)`` each.
        buffers: Likewise; moving averages are updated in place.
        generators: What each model draws from.
        x: The images of each, ``(S, B, *image)``.
    """
    limit = template.module.gradient_clip_norm

    def loss(
        parameters: dict[str, Tensor], buffers: dict[str, Tensor], model: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        with Streams(generators, model):
            return functional_call(template, parameters | buffers, (x,))

    def one(*arguments: Any) -> tuple[dict[str, Tensor], Tensor]:
        gradient, (_, bound) = grad_and_value(loss, has_aux=True)(*arguments)
        if limit is not None:
            own = [value for name, value in gradient.items() if name.startswith("module.vae.")]
            clip_(own, limit, foreach=False)
        return gradient, bound

    model = torch.arange(len(generators), device=x.device)
    with warnings.catch_warnings():  # some small operation in place is a loop over the models
        warnings.filterwarnings("ignore", message="There is a performance drop")
        return vmap(one, randomness="error")(parameters, buffers, model, x)


def check_mappable(member: VAEModule, x: Tensor) -> None:
    """Tries a training step on images ``(B, *image)``, and leaves no trace of it.

    Raises:
        NotImplementedError: If the model or its estimator does what cannot be mapped over models,
            or its optimiser does not treat every weight by itself.
    """
    if not is_elementwise(lambda groups: member.build_optimizer(list(groups))):
        name = type(member.build_optimizer()).__name__
        raise NotImplementedError(
            f"{name} treats the weights of a tensor together: train the seeds one by one"
        )
    parameters, buffers = stack_module_state([_Loss(member)])
    generator = torch.Generator(x.device)
    try:
        _gradients(_Loss(member), _detached(parameters), buffers, [generator], x[None])
    except RuntimeError as error:
        latent, reason = type(member.vae.latent).__name__, str(error).split(". ")[0]
        raise NotImplementedError(
            f"{member.estimator.extra_name()} with {latent} cannot be trained many at once: train"
            f" its seeds one by one ({reason})"
        ) from error


class _Slice(NamedTuple):
    """A parameter of consecutive models, as the optimiser has it: a view of the stack."""

    name: str
    models: slice
    values: Tensor


class Ensemble(LightningModule):
    """Trains S models at once.

    Arguments:
        members: The models, of one class and architecture; they may differ in ``VARIABLE``.
        generators: For each, the state in which its construction left the global generator
            (:func:`seeded`).

    Attributes:
        bounds: That of each model at the last step, (S,), in nats an image.
        latest: Their mean, for the progress bar.

    Raises:
        ValueError: If the models differ in what they must share.
    """

    bounds: Tensor

    def __init__(
        self, members: Sequence[VAEModule], generators: Sequence[torch.Generator]
    ) -> None:
        super().__init__()
        if not members or len(members) != len(generators):
            raise ValueError(f"{len(members)} models, and generators of {len(generators)}")
        for member in members:
            first, own = _shared(members[0]), _shared(member)
            if differing := [key for key in first | own if first.get(key) != own.get(key)]:
                raise ValueError(
                    f"models trained at once may differ in {', '.join(VARIABLE)}, not in"
                    f" {', '.join(differing)}"
                )
        self.automatic_optimization = False
        self.members = nn.ModuleList(members)
        self.latest: dict[str, Tensor] = {}
        self._starts = list(generators)

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[VAEModule]:
        return iter(cast(list[VAEModule], self.members))

    def configure_optimizers(self) -> Any:
        """Stacks the models on their device, and makes one optimiser for all.

        Models with other options have groups of their own.
        """
        losses = [_Loss(member) for member in self]
        parameters, buffers = stack_module_state(losses)
        self._stack = _detached(parameters), buffers
        for s, loss in enumerate(losses):
            for stacked, named in zip(
                self._stack, (loss.named_parameters(), loss.named_buffers()), strict=True
            ):
                for name, tensor in named:
                    tensor.data = stacked[name][s]
        self._generators = [on_device(start, self.device) for start in self._starts]
        optimizers = [loss.module.build_optimizer() for loss in losses]
        self._slices: list[_Slice] = []
        groups: list[dict[str, Any]] = []
        for _, alike in groupby(range(len(losses)), key=lambda s: _options(optimizers[s])):
            numbers = list(alike)
            models = slice(numbers[0], numbers[-1] + 1)
            names = {id(p): name for name, p in losses[models.start].named_parameters()}
            for group in optimizers[models.start].param_groups:
                slices = [
                    _Slice(name, models, self._stack[0][name][models])
                    for name in (names[id(p)] for p in group["params"])
                ]
                self._slices += slices
                groups.append(group | {"params": [values for _, _, values in slices]})
        optimizer = losses[0].module.build_optimizer(groups)
        scheduler = losses[0].module.build_scheduler(optimizer)
        return optimizer if scheduler is None else ([optimizer], [scheduler])

    def training_step(self, x: Tensor, batch_idx: int) -> None:
        """One optimiser step of every model, each on its images: ``(S, B, *image)``."""
        for member in self:
            fill(member, member.schedules, self.global_step)
        template = _Loss(next(iter(self)))
        gradient, self.bounds = _gradients(template, *self._stack, self._generators, x)
        for name, models, values in self._slices:
            values.grad = gradient[name][models]
        self.optimizers().step()  # type: ignore[union-attr]
        for config in self.trainer.lr_scheduler_configs:
            config.scheduler.step()  # type: ignore[call-arg]

    def validation_step(self, x: Tensor, batch_idx: int) -> dict[str, Tensor]:
        return self.terms("val", x, batch_idx)

    def test_step(self, x: Tensor, batch_idx: int) -> dict[str, Tensor]:
        return self.terms("test", x, batch_idx)

    def terms(self, split: str, x: Tensor, seed: int) -> dict[str, Tensor]:
        """What a run of each model would log of images ``(B, *image)``, or ``(S, B, *image)``:
        the sum over images, (S,), in nats."""
        # one after the other, and not mapped: all have the same noise in an evaluation
        rows = [
            _terms(member, x[s] if split == "train" else x, seed, split == "test")
            for s, member in enumerate(self)
        ]
        return {f"{split}/{name}": torch.stack([row[name] for row in rows]) for name in rows[0]}


def _terms(member: VAEModule, x: Tensor, seed: int, test: bool) -> dict[str, Tensor]:
    """The sums over images of one model, (); NaN if it diverged."""
    K, values = member.test_samples, {}
    try:
        with evaluation.fixed_noise(x.device, seed):
            values = evaluation.elbo_terms(member.vae, x).named()
            if test:
                values[f"log_likelihood_{K}"] = member.vae.log_likelihood(x, K)
    except RuntimeError:  # how torch refuses to draw from a distribution with NaN in it
        q = member.vae.hard.posterior(x)
        if all(p.isfinite().all() for p in parameters(q).values()):
            raise
        nan = torch.full((len(x),), math.nan, device=x.device)
        estimated = evaluation.closed_kl(member.vae.hard, q) is None
        values = evaluation.Terms(nan, nan, nan, estimated).named()
        if test:
            values[f"log_likelihood_{K}"] = nan
    return {name: value.sum() for name, value in values.items()}


def _shared(member: VAEModule) -> dict[str, Any]:
    own = {key: value for key, value in member.hparams.items() if key not in VARIABLE}
    return own | {"class": type(member)}


def _options(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


def _detached(parameters: dict[str, Any]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in parameters.items()}
