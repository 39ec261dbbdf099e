"""All that the page of a model holds: its networks, its latents, and some images."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae.data.source import Batches
from vae.distributions.chain import Chain
from vae.distributions.kinds import is_discrete, kind_of
from vae.distributions.operations import base_of, describe, logits_of
from vae.models.composition import Composition
from vae.models.vae import VAE
from vae.pages.explorer.centering import centre_of_mass
from vae.pages.explorer.laws import exported_law, exported_ratio, first_of
from vae.pages.explorer.modules import exported_layers, exported_posterior, line
from vae.pages.explorer.space import packed, space_of
from vae.pages.networks import NetworkError, export_decoder
from vae.pictures.codes import ways
from vae.pictures.interpolate import WAYS
from vae.pictures.kl import mean_variance, variable_kl

__all__ = ["Images", "gather", "relaxation"]

DREAMT = 200
"""Images drawn from the model, where there are no data to average the KL over."""

ENOUGH = 32
"""Images by which it is measured how many bits the page's weights need."""


class Images(NamedTuple):
    """Images for the page.

    Attributes:
        x: Some to choose from, ``(N, *image)``.
        labels: Their classes; None where there are none.
        many: Over which the KL of each variable is averaged.
        words: What they are, as ``test images``.
    """

    x: Tensor
    labels: Tensor | None
    many: Batches
    words: str


@torch.no_grad()
def gather(
    model: Composition,
    name: str,
    binarization: str | None = None,
    images: Images | None = None,
    encoder: bool = True,
    why_no_images: str = "",
) -> dict[str, Any]:
    """What the page of a model holds, as plain values.

    Arguments:
        model: In evaluation mode.
        name: What it is called.
        binarization: How the pixels were made binary: dynamic, static, or none; None if unknown.
        images: Those to choose from.
        encoder: Whether the page is to encode images.
        why_no_images: What it says where there are none.

    Raises:
        NotImplementedError: If the page's scripts cannot run the decoder, or move its codes.
    """
    vae = model.vae.hard
    prior, shape = vae.prior(), vae.image_shape
    if shape is None or len(shape) != 3:
        raise NotImplementedError("the model does not say its images' channels, height and width")
    many, words = _many(vae, images)
    score, of = _score(vae, many, words)
    held: dict[str, Any] = {
        "name": _plain(name),
        "facts": _facts(model, vae, name, binarization),
        "image": list(shape),
        "decoder": export_decoder(vae),
        "space": space_of(prior),
        "score": {"values": score.tolist(), "of": of},
        "binary": vae.likelihood.binary and binarization != "none",
        "binarization": binarization,
        "centre": centre_of_mass(many),
        "drawsPixels": vae.likelihood.binary,
        "relaxation": relaxation(model, vae.posterior(torch.zeros(1, *shape))),
        "priorLogits": _prior_logits(prior),
        "images": None if images is None else _images(images),
        "whyNoImages": why_no_images,
        "encoder": None,
        "whyNoEncoder": "The page was made without its encoder (--encoder false).",
        "down": exported_layers(prior) if isinstance(prior, Chain) else [],
    }
    if encoder:
        held |= _encoding(vae, many[0][:ENOUGH])
    if held["encoder"] is None:  # there is nothing to choose an image for
        held["images"] = None
    return held


def _plain(name: str) -> str:
    """The name that a run was given, without when it was started and its number."""
    return re.sub(r"^\d{8}-\d{6}-(.+)-[0-9a-f]{8}$", r"\1", name)


def _encoding(vae: VAE, x: Tensor) -> dict[str, Any]:
    """The encoder and what is known of q(z|x); what the page cannot run or draw from says so."""
    q, prior = vae.posterior(x), vae.prior()
    try:
        first = exported_law(first_of(q))
        network, why = exported_posterior(vae, x)
        up = exported_layers(q) if isinstance(q, Chain) else []
        ratio, why = _ratio(vae, q, why)
    except (NotImplementedError, NetworkError) as error:
        return {"whyNoEncoder": f"The page cannot encode images: {line(error)}."}
    middle: list[float] | None
    scale: list[float] | None
    try:
        middle, scale = prior.mean.flatten().tolist(), prior.stddev.flatten().tolist()
    except (NotImplementedError, AttributeError):
        middle, scale = None, None
    return {
        "encoder": network,
        "posterior": {"laws": [first, *up], "ratio": ratio, "whyNoKL": why},
        "ways": [{"name": way, "words": WAYS[way]} for way in ways(q, prior)],
        "middle": middle,
        "scale": scale,
    }


def _ratio(vae: VAE, q: Distribution, why: str) -> tuple[dict[str, Any] | None, str]:
    """What estimates a KL that has no closed form, and why there is neither."""
    if not why:
        return None, ""
    try:
        return exported_ratio(q, vae.prior()), why
    except NetworkError as error:
        return None, f"{why}, and to estimate it {line(error)}"


def _many(vae: VAE, images: Images | None) -> tuple[list[Tensor], str]:
    """Images to measure the model by, and what they are."""
    if images is None:
        many = [vae.sample(DREAMT, draw=vae.likelihood.binary)]
        return many, f"{DREAMT} images drawn from the model"
    many = list(images.many)
    return many, f"{sum(map(len, many)):,} {images.words}"


def _score(vae: VAE, many: list[Tensor], of: str) -> tuple[Tensor, str]:
    """How much each variable is used, and how that is measured."""
    kl = variable_kl(vae, many)
    if kl is not None:
        return kl.mean.cpu(), f"KL in nats, mean over {of}"
    return mean_variance(vae, many).cpu(), f"Variance of E[z|x] over {of}"


def _images(images: Images) -> dict[str, Any]:
    labels = None if images.labels is None else images.labels.tolist()
    return {"pixels": packed(255 * images.x), "labels": labels, "words": images.words}


def relaxation(model: Composition, q: Distribution) -> dict[str, Any] | None:
    """The temperature that the model was trained at last, and what it was; None without one."""
    found = [
        float(value)
        for part in (model.estimator, model.vae.latent)
        for name, value in part.named_buffers()
        if name.split(".")[-1] == "temperature"
    ]
    if not found or kind_of(model.vae.hard.prior()) not in ("one-hot", "binary"):
        return None
    soft, sampler = model.vae.latent.hard is not model.vae.latent, _sampler(model)
    if not soft and sampler is not None:  # a relaxed layer's own sampler knows no hard q
        z = sampler(q, Size([1]))
        soft = bool(((z > 1e-6) & (z < 1 - 1e-6)).any())
    words = (
        f"While it was trained, the decoder saw soft samples, of temperature {found[0]:.2f} at the"
        " end. What is evaluated, and all else on this page, is hard."
        if soft
        else f"While it was trained, the decoder saw hard samples: {found[0]:.2f}, at the end, was"
        " the temperature of the estimator's gradient alone. All else on this page is hard."
    )
    return {"temperature": found[0], "words": words}


def _sampler(model: Composition) -> nn.Module | None:
    """What draws with a derivative, of an estimator that has such a part."""
    drawn = getattr(model.estimator, "sampler", None)
    return drawn if isinstance(drawn, nn.Module) else None


def _prior_logits(prior: Distribution) -> list[float] | None:
    """Those of independent discrete variables; else of uniform ones."""
    try:
        return logits_of(prior).flatten().tolist()
    except NotImplementedError:
        return [0.0] * prior.event_shape.numel() if is_discrete(prior) else None


def _facts(model: Composition, vae: VAE, name: str, binarization: str | None) -> list[list[str]]:
    own, event = vae.own_prior, " x ".join(map(str, vae.prior().event_shape))
    pixels, sampler = type(vae.likelihood).__name__, _sampler(model)
    if binarization in ("dynamic", "static"):
        pixels += f", {binarization} binarisation"
    return [
        ["model", name],
        ["latent", f"{type(model.vae.latent).__name__} ({event})"],
        ["prior", describe(base_of(vae.prior())) if own is None else type(own).__name__],
        ["pixels", pixels],
        [
            "estimator",
            type(model.estimator).__name__
            + ("" if sampler is None else f" ({type(sampler).__name__})"),
        ],
    ]
