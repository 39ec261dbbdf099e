"""Whether the parts of a model fit together, found out with two images before training."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae.distributions.kinds import kind_of
from vae.distributions.operations import base_of
from vae.distributions.quantised import Quantised
from vae.estimators import Estimate, Estimator
from vae.models.bound import bound
from vae.models.no_effect import refuse
from vae.models.vae import VAE
from vae.objectives import Objective

__all__ = ["assert_parts_fit"]


def assert_parts_fit(vae: VAE, objective: Objective, estimator: Estimator, x: Tensor) -> None:
    """Evaluates the model, part by part, and its bound; gives lazy layers their shape.

    Arguments:
        x: Images ``(B, *image)``.

    Raises:
        ValueError: Naming the first part that returns what the next one cannot take, or the
            estimator if its bound has another shape than (B,), or no gradient in q(z|x).
    """
    size = len(x)
    with torch.no_grad():
        features = vae.encoder(x)
        width = cast(int, vae.encoder.out_features)
        _assert_shape(vae.encoder, "out_features", features, (size, width))
        q, p = vae.posterior(x), vae.prior()
        _assert_batch(f"latent {_name(vae.latent)}", q, Size([size]))
        _assert_batch(f"prior {_name(vae.own_prior or vae.latent)}", p, Size())
        if p.event_shape != q.event_shape:
            raise ValueError(
                f"p(z) of {_name(vae.own_prior or vae.latent)} has the event shape"
                f" {tuple(p.event_shape)}, and q(z|x) {tuple(q.event_shape)}"
            )
        _assert_same_kind(vae, q, p)
        if isinstance(base_of(q), Quantised) and objective.num_samples > 1:
            refuse(
                f"q(z|x) of {_name(vae.latent)} is a point mass: {objective.num_samples} samples are"
                f" one, {objective.num_samples} times; set num_samples 1"
            )
        estimator.assert_fits(q)
        code = vae.latent.code(q.sample())
        _assert_shape(vae.latent, "code_features", code, (size, vae.latent.code_features))
        pixels = vae.likelihood(code)
        name = f"likelihood {_name(vae.likelihood)}"
        _assert_batch(name, pixels, Size([size]))
        if pixels.event_shape != x.shape[1:]:
            raise ValueError(
                f"{name} gives images of shape {tuple(pixels.event_shape)}, not"
                f" {tuple(x.shape[1:])}: its decoder gives others than"
                " (*, channels, *image_shape), or it changes them"
            )

    def check(estimator: nn.Module, arguments: Any, estimate: Any) -> None:
        _assert_estimate(estimate, vae, cast(Estimator, estimator), size)

    hook = estimator.register_forward_hook(check)
    try:
        bound(vae, objective, estimator, x)
    finally:
        hook.remove()


def _assert_estimate(estimate: Estimate, vae: VAE, estimator: Estimator, size: int) -> None:
    """Before the bound's penalty, in closed form, hides that it is wrong."""
    if not isinstance(estimate, Estimate):
        raise ValueError(
            f"estimator {_name(estimator)} gives a {type(estimate).__name__}, not an Estimate"
        )
    if tuple(estimate.bound.shape) != (size,):
        raise ValueError(
            f"estimator {_name(estimator)} gives a bound of shape {tuple(estimate.bound.shape)}"
            f" for {size} images, not ({size},)"
        )
    parts = (vae.encoder, vae.latent)
    trained = [p for part in parts for p in part.parameters() if p.requires_grad]
    if not trained:
        return
    loss = estimate.loss
    if not loss.requires_grad or not any(
        gradient is not None for gradient in torch.autograd.grad(loss, trained, allow_unused=True)
    ):
        raise ValueError(
            f"estimator {_name(estimator)} gives q(z|x) no gradient: nothing would be trained by it"
        )


def _assert_shape(part: nn.Module, attribute: str, value: Tensor, shape: tuple[int, ...]) -> None:
    found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if found != shape:
        raise ValueError(
            f"{_name(part)} gives {found} for {shape[0]} images, where its {attribute} say {shape}"
        )


def _assert_batch(name: str, found: Distribution, shape: Size) -> None:
    if not isinstance(found, Distribution):
        raise ValueError(f"{name} gives a {type(found).__name__}, which is no distribution")
    if found.batch_shape != shape:
        raise ValueError(
            f"{name} gives a {type(found).__name__} of batch shape {tuple(found.batch_shape)},"
            f" not {tuple(shape)}: Independent makes dimensions those of an event"
        )


def _assert_same_kind(vae: VAE, q: Distribution, p: Distribution) -> None:
    """Refuses a prior over something else than the latents, whose shape may be the same."""
    latents, prior = kind_of(q), kind_of(p)
    names = f"prior {_name(vae.own_prior or vae.latent)}", f"latent {_name(vae.latent)}"
    if None not in (latents, prior) and latents != prior:
        raise ValueError(
            f"{names[0]} is a distribution over {prior} vectors, and {names[1]} over {latents} ones"
        )
    support: Any = None if None in (latents, prior) else p.support
    if support is not None and not support.check(q.sample()).all():
        raise ValueError(f"{names[0]} has no density at samples of {names[1]}: log p(z) is -inf")


def _name(part: object) -> str:
    return type(part).__name__
