r""":math:`\log p(x)` itself, by a sum over all latents, where they are few enough.

.. math:: \log p(x) = \log \sum_z p(x|z)\, p(z)

L variables of C categories have :math:`C^L` configurations. Each is decoded once, for all images of
a batch together; they are listed in blocks, so that memory does not grow with their number.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.devices import asynchronous, double, synchronize
from vae.distributions.operations import MAX_SUPPORT, configurations, support
from vae.evaluation.pairwise import log_probs
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.quadrature import (
    MOST_NODES,
    domain_of,
    expected_nodes,
    quadrature_log_likelihood,
)
from vae.models.log_likelihood import CHUNKS
from vae.models.vae import VAE
from vae.seeds import fixed_noise

__all__ = [
    "Exact",
    "Known",
    "enumerable",
    "exact_log_likelihood",
    "first_images",
    "known_log_likelihood",
    "why_not_known",
]


def enumerable(vae: VAE, x: Tensor, most: int = MAX_SUPPORT) -> Distribution:
    """A distribution, with batch shape (1,), whose support is that of the latents.

    It is the prior, or the posterior of the first image, where the prior's cannot be listed (a
    mixture's).

    Arguments:
        vae: The model, with hard latents.
        x: Images ``(B, *image)``.
        most: The most configurations.

    Raises:
        NotImplementedError: If the latents cannot be enumerated.
        ValueError: If there are more configurations than ``most``.
    """
    prior = vae.prior()
    try:
        size, found = configurations(prior), prior.expand(torch.Size([1]))
    except NotImplementedError:
        found = vae.posterior(x[:1])
        size = configurations(found)
    if size > most:
        raise ValueError(f"the latents have {size:,} configurations: at most {most:,} are summed")
    return found


@torch.no_grad()
def exact_log_likelihood(
    vae: VAE, x: Tensor, chunk: int | None = None, most: int = MAX_SUPPORT
) -> Tensor:
    """The exact log p(x) in nats, with shape (B,), by a sum over all latent configurations.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.
        chunk: Configurations that are decoded together; by default what suits the device. Memory
            grows with it, and with the number of images.
        most: The most configurations.

    Raises:
        NotImplementedError: If the latents cannot be enumerated.
        ValueError: If there are more configurations than ``most``.
    """
    vae = vae.hard
    listed, prior = enumerable(vae, x, most), vae.prior()
    size = configurations(listed)
    chunk = CHUNKS[asynchronous(x.device)] if chunk is None else chunk
    total = double(x.new_full((len(x),), -torch.inf))
    for first in range(0, size, chunk):
        z = support(listed, first, min(first + chunk, size)).squeeze(1)  # (S, *event)
        log_joint = log_probs(vae.decode(z), x) + double(prior.log_prob(z))[:, None]  # (S, B)
        total = torch.logaddexp(total, log_joint.logsumexp(0))
    return total.to(x)


class Known(NamedTuple):
    """log p(x), by whichever way there is.

    Attributes:
        log_likelihood: In nats, (B,).
        change: That of quadrature at its last halving, (B,); None of a sum.
        nodes: Latents that were decoded.
    """

    log_likelihood: Tensor
    change: Tensor | None
    nodes: int


def why_not_known(vae: VAE, x: Tensor, most: int = MAX_SUPPORT) -> str | None:
    """Why there is neither a sum nor quadrature for images ``(B, *image)``; None if there is."""
    try:
        enumerable(vae.hard, x, most)
    except ValueError as error:
        return str(error)
    except NotImplementedError:
        try:
            domain_of(vae.hard, x)
        except NotImplementedError as error:
            return str(error)
    return None


def known_log_likelihood(
    vae: VAE, x: Tensor, tolerance: float = 1e-4, most: int = MOST_NODES
) -> Known:
    """log p(x) of images ``(B, *image)``, by a sum or, of continuous latents, by quadrature.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.
        tolerance: Of quadrature, in nats.
        most: The most latents that are decoded.

    Raises:
        NotImplementedError: If there is neither.
        ValueError: If there are more configurations than ``most``.
    """
    try:
        size = configurations(enumerable(vae.hard, x, most))
    except NotImplementedError:
        return Known(*quadrature_log_likelihood(vae, x, tolerance, most))
    return Known(exact_log_likelihood(vae, x, most=most), None, size)


class Exact(Part):
    """log p(x) itself: by a sum over all latents, or by quadrature of one or two continuous ones.

    Arguments:
        tolerance: The grid of quadrature is halved until log p(x) changes by less, in nats.
        nodes: The most latents that are decoded.

    Raises:
        ValueError: If an argument is not positive.
    """

    name = "exact"
    of_log_p = True
    title = "log p(x) itself, where z can be summed or integrated over"
    images = 200
    batch = 200

    def __init__(self, tolerance: float = 1e-4, nodes: int = MOST_NODES) -> None:
        for argument, value in (("tolerance", tolerance), ("nodes", nodes)):
            if not value > 0:
                raise ValueError(f"exact_{argument} must be positive, got {value}")
        self.tolerance, self.nodes = tolerance, nodes

    def why_not(self, subject: Subject) -> str | None:
        return why_not_known(subject.vae, first_images(subject, 1), self.nodes)

    @torch.no_grad()
    def seconds(self, subject: Subject) -> float | None:
        x, chunk = first_images(subject, 100), CHUNKS[asynchronous(subject.device)]
        try:
            size = configurations(enumerable(subject.vae, x, self.nodes))
        except NotImplementedError:
            size = expected_nodes(subject.vae, x, self.nodes)
        with fixed_noise(x.device, 0):
            z = subject.vae.prior().sample(torch.Size([chunk]))
        started = time.monotonic()
        log_probs(subject.vae.decode(z), x)
        synchronize(subject.device)
        return (time.monotonic() - started) * max(1, size / chunk) / len(x)

    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        value, change, nodes = known_log_likelihood(subject.vae, x, self.tolerance, self.nodes)
        found = {"log_likelihood": value, "nodes": value.new_full((len(x),), nodes)}
        return found if change is None else found | {"change": change}

    def log_likelihoods(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"log_likelihood_exact": values["log_likelihood"]}

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        nodes, warning = int(values["nodes"].max()), ""
        labels: dict[str, object] = {"method": "enumeration", "configurations": nodes}
        if "change" in values:
            change = values["change"].max().item()
            labels = {"method": "quadrature", "nodes": nodes, "last change": f"{change:.1g} nats"}
            if open_ends := int((values["change"] > self.tolerance).sum()):
                warning = (
                    f"the grid of {nodes:,} nodes is too coarse for {open_ends} of"
                    f" {len(values['change'])} images: raise --exact_nodes"
                )
        return [
            mean_of(
                "log_likelihood_exact",
                values["log_likelihood"],
                bound="estimate" if warning else "exact",
                labels=labels,
                warning=warning,
            )
        ]


def first_images(subject: Subject, count: int) -> Tensor:
    """The first images of the subject's split."""
    loader = subject.data.loader(subject.split, subject.device, batch_size=count, limit=count)
    return next(iter(loader.batches()))
