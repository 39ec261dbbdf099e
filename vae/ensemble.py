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
In float64 the weights are those of a run of its own to 1e-12 (``tests/test_ensemble.py``); in
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
from lightning.pytorch import LightningDataModule, LightningModule, seed_everything
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from vae import evaluation
from vae.data import ImageDataModule
from vae.distributions import parameters
from vae.loader import ImageLoader
from vae.module import ImageVAE

__all__ = ["VARIABLE", "Ensemble", "EnsembleData", "Streams", "check_mappable", "seeded"]

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

IN_PLACE = {
    getattr(torch.Tensor, f"{name}_")
    for name in ("normal", "exponential", "uniform", "random", "cauchy", "log_normal", "geometric")
}
BY_SHAPE = {torch.rand, torch.randn, torch.randint}
BY_PARAMETERS = {torch.normal, torch.bernoulli, torch.poisson, torch._standard_gamma}


class _EachModel(torch.autograd.Function):
    """Calls ``function(s, *tensors)`` for each model s, with its slices of the tensors, from
    inside a map over models. No gradient passes."""

    @staticmethod
    def forward(function: Callable[..., Tensor], model: Tensor, *tensors: Tensor) -> Tensor:
        raise RuntimeError("there is no map over models around this")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.mark_non_differentiable(output)

    @staticmethod
    def vmap(info: Any, in_dims: tuple, function: Any, model: Tensor, *tensors: Tensor) -> Any:
        rows = [
            t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
            for t, dim in zip(tensors, in_dims[2:], strict=True)
        ]
        values = [function(s, *(row[s] for row in rows)) for s in range(info.batch_size)]
        return torch.stack(values), 0


class Streams(TorchFunctionMode):
    """Inside a map over models, gives each model the random numbers that it would draw alone.

    Whatever draws in another way than these functions fails under ``vmap(...,
    randomness="error")``, and is not silently the same for all.

    Arguments:
        generators: One for each model, on the device.
        model: What is mapped over: ``arange(S)``, seen from inside.
    """

    def __init__(self, generators: Sequence[torch.Generator], model: Tensor) -> None:
        super().__init__()
        self.generators, self.model = generators, model

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in IN_PLACE:
            target, *rest = args
            fresh = {"size": target.shape, "dtype": target.dtype, "device": target.device}
            # One tensor cannot hold the draws of S models: what the method returns does, and
            # whoever reads the tensor itself shall notice.
            target.fill_(math.nan if target.is_floating_point() else 0)
            return self._draw(lambda **g: func(torch.empty(**fresh), *rest, **kwargs, **g))
        if func in BY_SHAPE:
            return self._draw(lambda **g: func(*args, **kwargs, **g))
        if func in BY_PARAMETERS and all(isinstance(p, Tensor) for p in args):
            kwargs.pop("generator", None)
            # torch refuses NaN, and one model that diverged must not stop the others
            valid = [p.nan_to_num(0.0, math.inf, -math.inf) for p in args]
            value = self._draw(lambda *slices, **g: func(*slices, **kwargs, **g), *valid)
            return value if func is not torch._standard_gamma else self._implicit(args[0], value)
        if func is nn.functional.one_hot:  # it looks at the values, which a map does not allow
            return _one_hot(*args, **kwargs)
        return func(*args, **kwargs)

    def _draw(self, draw: Callable[..., Tensor], *parameters: Tensor) -> Tensor:
        def one(s: int, *slices: Tensor) -> Tensor:
            return draw(*slices, generator=self.generators[s])

        return cast(Tensor, _EachModel.apply(one, self.model, *parameters))

    def _implicit(self, concentration: Tensor, value: Tensor) -> Tensor:
        """A Gamma draw with torch's derivative, by implicit reparameterization."""

        def one(s: int, concentration: Tensor, value: Tensor) -> Tensor:
            return torch._standard_gamma_grad(concentration, value)

        slope = cast(Tensor, _EachModel.apply(one, self.model, concentration, value))
        return value + slope * (concentration - concentration.detach())


def _one_hot(index: Tensor, num_classes: int) -> Tensor:
    return (index[..., None] == torch.arange(num_classes, device=index.device)).long()


def seeded(seed: int, make: Callable[[], ImageVAE]) -> tuple[ImageVAE, torch.Generator]:
    """A model as a run of its own would start with it: its weights drawn from the seed, and a
    generator in the state in which that leaves the global one."""
    seed_everything(seed, workers=True, verbose=False)
    module = make()
    return module, torch.Generator().set_state(torch.get_rng_state())


class _Loss(nn.Module):
    """The loss of one model and its bound, each (), of images ``(B, *image)``: nats an image."""

    def __init__(self, module: ImageVAE) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        estimate = self.module.bound(x)
        bound = estimate.bound.mean()
        return estimate.auxiliary - bound, bound.detach()


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
        if limit is not None:  # as torch.nn.utils.clip_grad_norm_ of the model's parameters
            own = [name for name in gradient if name.startswith("module.vae.")]
            norm = torch.stack([gradient[name].norm() for name in own]).norm()
            gradient |= {n: gradient[n] * (limit / (norm + 1e-6)).clamp(max=1) for n in own}
        return gradient, bound

    model = torch.arange(len(generators), device=x.device)
    with warnings.catch_warnings():  # some small operation in place is a loop over the models
        warnings.filterwarnings("ignore", message="There is a performance drop")
        return vmap(one, randomness="error")(parameters, buffers, model, x)


def check_mappable(member: ImageVAE, x: Tensor) -> None:
    """Tries a training step on images ``(B, *image)``, and leaves no trace of it.

    Raises:
        NotImplementedError: If the model or its estimator does what cannot be mapped over models.
    """
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

    def __init__(self, members: Sequence[ImageVAE], generators: Sequence[torch.Generator]) -> None:
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

    def __iter__(self) -> Iterator[ImageVAE]:
        return iter(cast(list[ImageVAE], self.members))

    def configure_optimizers(self) -> Optimizer:
        """Stacks the models, on the device where they are by now, and makes the optimiser that
        each asks for: one for all, with groups of their own for models with other options."""
        losses = [_Loss(member) for member in self]
        parameters, buffers = stack_module_state(losses)
        self._stack = _detached(parameters), buffers
        for s, loss in enumerate(losses):
            for stacked, named in zip(
                self._stack, (loss.named_parameters(), loss.named_buffers()), strict=True
            ):
                for name, tensor in named:
                    tensor.data = stacked[name][s]
        self._generators = [_on_device(start, self.device) for start in self._starts]
        optimizers = [loss.module.configure_optimizers() for loss in losses]
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
        return type(optimizers[0])(groups)  # type: ignore[call-arg]

    def training_step(self, x: Tensor, batch_idx: int) -> None:
        """One optimiser step of every model, each on its images: ``(S, B, *image)``."""
        for member in self:
            for schedule in member.schedules:
                schedule.apply(member, self.global_step)
        template = _Loss(next(iter(self)))
        gradient, self.bounds = _gradients(template, *self._stack, self._generators, x)
        for name, models, values in self._slices:
            values.grad = gradient[name][models]
        self.optimizers().step()  # type: ignore[union-attr]

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


def _terms(member: ImageVAE, x: Tensor, seed: int, test: bool) -> dict[str, Tensor]:
    """The sums over images of one model, (); NaN if it diverged."""
    K, values = member.test_samples, {}
    try:
        with evaluation.fixed_noise(x.device, seed):
            values = evaluation.elbo_terms(member.vae, x)._asdict()
            if test:
                values[f"log_likelihood_{K}"] = evaluation.log_likelihood(member.vae, x, K)
    except RuntimeError:  # how torch refuses to draw from a distribution with NaN in it
        if all(p.isfinite().all() for p in parameters(member.vae.posterior(x)).values()):
            raise
        names = [*evaluation.Terms._fields, *([f"log_likelihood_{K}"] if test else [])]
        values = dict.fromkeys(names, torch.full((len(x),), math.nan, device=x.device))
    return {name: value.sum() for name, value in values.items()}


def _shared(member: ImageVAE) -> dict[str, Any]:
    own = {key: value for key, value in member.hparams.items() if key not in VARIABLE}
    return own | {"class": type(member)}


def _options(optimizer: Optimizer) -> list[dict[str, Any]]:
    return [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]


def _detached(parameters: dict[str, Any]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in parameters.items()}


def _on_device(start: torch.Generator, device: torch.device) -> torch.Generator:
    """What a single run draws from: on a GPU another generator, of the same seed, that nothing
    was drawn from yet."""
    if device.type == "cpu":
        return torch.Generator().set_state(start.get_state())
    return torch.Generator(device).manual_seed(start.initial_seed())


class EnsembleData(LightningDataModule):
    """The data of S models: training batches ``(S, B, *image)``, each model's in its own order and
    binarisation; what they are judged on is the same for all, ``(B, *image)``.

    Arguments:
        members: The data module of each, all on the same images.
    """

    def __init__(self, members: Sequence[ImageDataModule]) -> None:
        super().__init__()
        self.members = list(members)

    @property
    def batch_size(self) -> int:
        """Images a step, of all models together."""
        return sum(member.batch_size for member in self.members)

    def prepare_data(self) -> None:
        self.members[0].prepare_data()

    def setup(self, stage: str | None = None) -> None:
        for member in self.members:
            self.members[0].setup(stage)
            member.splits, member.trainer = self.members[0].splits, self.trainer

    def train_dataloader(self) -> StackedLoader:
        return StackedLoader([member.loader("train", train=True) for member in self.members])

    def val_dataloader(self) -> ImageLoader | list:
        return self.members[0].val_dataloader()

    def test_dataloader(self) -> ImageLoader:
        return self.members[0].test_dataloader()


class StackedLoader:
    """The batches of several loaders of equal length, side by side."""

    def __init__(self, loaders: Sequence[ImageLoader]) -> None:
        self.loaders, self.total = list(loaders), len(loaders[0])

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Tensor]:
        return map(torch.stack, zip(*self.loaders, strict=True))
