"""The training step of one model, mapped over many: their gradients as one batched computation."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from vae.training.many.streams import Generators, Source, Streams
from vae.training.module import VAEModule
from vae.training.optimizers import is_elementwise
from vae.training.step import clip_

__all__ = ["Loss", "check_mappable", "detached", "gradients"]


OTHERS = ("vae", "torch", "lightning", "builtins")
"""The packages of which no class is a user's."""


class Loss(nn.Module):
    """The loss of one model and its bound, each (), of images ``(B, *image)``: nats an image."""

    def __init__(self, module: VAEModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        estimate = self.module.bound(x)
        return estimate.loss, estimate.bound.detach().mean()


def gradients(
    template: Loss,
    parameters: dict[str, Tensor],
    buffers: dict[str, Tensor],
    source: Source,
    x: Tensor,
) -> tuple[dict[str, Tensor], Tensor]:
    """The gradient of each model's loss, and its bound (S,).

    Arguments:
        template: Any of the models: what is computed, with the numbers below in place of its own.
        parameters: Of all models, ``(S, *shape)`` each.
        buffers: Likewise; moving averages are updated in place.
        source: Where their random numbers come from.
        x: The images of each, ``(S, B, *image)``.
    """
    limit = template.module.gradient_clip_norm

    def loss(
        parameters: dict[str, Tensor], buffers: dict[str, Tensor], model: Tensor, x: Tensor
    ) -> tuple[Tensor, Tensor]:
        with Streams(source, model):
            return functional_call(template, parameters | buffers, (x,))

    def one(*arguments: Any) -> tuple[dict[str, Tensor], Tensor]:
        gradient, (_, bound) = grad_and_value(loss, has_aux=True)(*arguments)
        if limit is not None:
            gradient = {name: value.clone() for name, value in gradient.items()}  # two may be one
            own = [value for name, value in gradient.items() if name.startswith("module.vae.")]
            clip_(own, limit, foreach=False)
        return gradient, bound

    model = torch.arange(len(x), device=x.device)
    with warnings.catch_warnings():  # some small operation in place is a loop over the models
        warnings.filterwarnings("ignore", message="There is a performance drop")
        return vmap(one, randomness="error")(parameters, buffers, model, x)


def check_mappable(member: VAEModule, x: Tensor) -> None:
    """Tries a training step on images ``(B, *image)``, and leaves no trace of it.

    Raises:
        NotImplementedError: If the model or its estimator does what cannot be mapped over models,
            its optimiser does not treat every weight by itself, or its class has hooks of Lightning's
            of its own, which nobody would call.
    """
    if hooks := _own_hooks(type(member)):
        raise NotImplementedError(
            f"{type(member).__name__}.{hooks[0]} is not called for many models at once: train the"
            " seeds one by one"
        )
    prior = member.vae.own_prior
    if prior is not None and prior.needed_images():
        raise NotImplementedError(
            f"{type(prior).__name__} starts from training images, which many models at once do not"
            " wait for: train the seeds one by one"
        )
    if kept := _plain_tensors(member):
        raise NotImplementedError(
            f"{kept[0]} is a tensor, and no buffer: of many models at once all would have the first"
            " one's; register it as a buffer, or train the seeds one by one"
        )
    if not is_elementwise(lambda groups: member.build_optimizer(list(groups))):
        name = type(member.build_optimizer()).__name__
        raise NotImplementedError(
            f"{name} treats the weights of a tensor together: train the seeds one by one"
        )
    parameters, buffers = stack_module_state([Loss(member)])
    generator = torch.Generator(x.device)
    try:
        gradients(Loss(member), detached(parameters), buffers, Generators([generator]), x[None])
    except RuntimeError as error:
        latent, reason = type(member.vae.latent).__name__, str(error).split(". ")[0]
        raise NotImplementedError(
            f"{member.estimator.extra_name()} with {latent} cannot be trained many at once: train"
            f" its seeds one by one ({reason})"
        ) from error


def _plain_tensors(member: VAEModule) -> list[str]:
    """The names of tensors in modules' attributes that are neither parameters nor buffers."""
    parts = [(name, part) for name, part in member.named_modules() if part is not member]
    found = [(f"{name}.{key}", v) for name, part in parts for key, v in vars(part).items()]
    return [name for name, value in found if isinstance(value, Tensor)]


def _own_hooks(kind: type[VAEModule]) -> list[str]:
    """The methods of Lightning's that a user's class has written anew."""
    own = [c for c in kind.__mro__ if c.__module__.partition(".")[0] not in OTHERS]
    names = [name for c in own for name in vars(c) if not name.startswith("_")]
    return [
        name
        for name in names
        if name != "forward" and callable(getattr(LightningModule, name, None))
    ]


def detached(parameters: dict[str, Any]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in parameters.items()}
