r"""How much z holds of an image, and how far the codes of all images are from the prior.

With :math:`q_N(z) = \frac1N \sum_n q(z|x_n)`, the aggregate posterior of N images, the rate has two
parts, each at least 0:

.. math:: \frac1N \sum_n \mathrm{KL}\big(q(z|x_n) \| p(z)\big) = I_N(x; z) + \mathrm{KL}\big(q_N(z) \| p(z)\big)

:math:`I_N` is exact for images drawn from these N, and at most log N. Of all images that there might
be, the population, it is a lower bound. Any density r(z) that does not know :math:`x_i` gives an upper
one:

.. math:: I_N = \mathbb{E}\Big[\log \frac{q(z_i|x_i)}{\frac1N \sum_j q(z_i|x_j)}\Big]
    \le I(x; z) \le \mathbb{E}\Big[\log \frac{q(z_i|x_i)}{r(z_i)}\Big]

The prior as r gives the rate; :math:`\frac1{N-1} \sum_{j \ne i} q(z|x_j)` leaves one out. In many
dimensions no other posterior is near, and the same mixture of *wider* posteriors is tighter: a kernel
density estimate of q(z), whose width is chosen on draws of its own.

References:
    | ELBO surgery (Hoffman & Johnson, 2016): the rate's two parts
    | (https://approximateinference.org/accepted/HoffmanJohnson2016.pdf).
    | On Variational Bounds of Mutual Information (Poole et al., 2019), sections 2.1 and 2.5
    | (https://arxiv.org/abs/1905.06922).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.data.loader import mix_seeds
from vae.data.source import Batches
from vae.devices import double
from vae.distributions.operations import parameters, rebuild
from vae.evaluation.collapse import information_verdict
from vae.evaluation.densities import Densities, log_densities
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import closed_kl, fixed_noise

__all__ = ["Codes", "best_width", "information_bounds", "log_sum_of_others", "widened"]


BATCH = 500
"""Posteriors at a time."""

CHOSEN_ON = 200
"""Latents by which the width of posteriors is chosen."""

WIDTHS = (1.5, 2.0, 2.5, 3.0, 4.0)
"""How many times as wide as they are posteriors may be for the upper bound."""


def log_sum_of_others(z: Tensor, index: Tensor, densities: Sequence[Densities]) -> Tensor:
    r""":math:`\log \sum_{j \ne i} q(z_i|x_j)` over N images, with shape (M,), in float64.

    Arguments:
        z: Latents ``(M, *event)``.
        index: The number i of the image that each was drawn for, with shape (M,).
        densities: What gives log-densities under the posteriors of all images, some at a time
            (:func:`vae.evaluation.densities.log_densities`).
    """
    total, start = None, 0
    for densities_of_some in densities:
        log_probs = densities_of_some(z)  # (M, n)
        columns = torch.arange(start, start + log_probs.shape[1], device=log_probs.device)
        own = index.to(columns)[:, None] == columns
        part = log_probs.masked_fill(own, -math.inf).logsumexp(1)
        total = part if total is None else torch.logaddexp(total, part)
        start += log_probs.shape[1]
    if total is None:
        raise ValueError("mutual information needs the posteriors of some images")
    return total


def widened(q: Distribution, width: float) -> Distribution | None:
    """The posteriors with another scale; None of a family that has none, or cannot be made anew."""
    try:
        return rebuild(q, scale=parameters(q)["scale"] * width)
    except (KeyError, AttributeError, TypeError, NotImplementedError):
        return None


def best_width(
    z: Tensor, index: Tensor, posteriors: Sequence[Distribution]
) -> tuple[float, list[Densities]]:
    """How much wider posteriors make the tightest upper bound, 1 if they do not, and their densities.

    Arguments:
        z: Latents ``(M, *event)`` to choose by.
        index: The number of the image that each was drawn for, with shape (M,).
        posteriors: Of all images, some at a time.
    """
    best, found = 1.0, [log_densities(q) for q in posteriors]
    most = log_sum_of_others(z, index, found).mean().item()
    for width in WIDTHS:
        wide = [w for q in posteriors if (w := widened(q, width)) is not None]
        if len(wide) < len(posteriors):
            break
        densities = [log_densities(w) for w in wide]
        value = log_sum_of_others(z, index, densities).mean().item()
        if value > most:
            best, found, most = width, densities, value
    return best, found


def information_bounds(own: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound on I(x; z) in nats: their means over latents, shapes (M,).

    The mean of the lower one is I_N of these N images, which is at most log N.

    Arguments:
        own: log q(z_i|x_i) of latents z_i, each drawn from it, with shape (M,).
        others: What :func:`log_sum_of_others` gives for them.
        count: N, the images of the mixture, at least 2.
    """
    lower = own - (torch.logaddexp(own, others) - math.log(count))
    upper = own - (others - math.log(count - 1))
    return lower, upper


class Codes(Part):
    """The mutual information of images and latents, and KL(q(z) || p(z)) of the aggregate posterior.

    Arguments:
        mixture: Of how many images the aggregate posterior is a mixture: the first of the split,
            however many are evaluated.

    Raises:
        ValueError: If there are fewer than two.
    """

    name = "codes"
    title = "mutual information of images and latents, KL of the aggregate posterior"

    def __init__(self, mixture: int = 10_000) -> None:
        if mixture < 2:
            raise ValueError(f"codes_mixture must be at least 2, got {mixture}")
        self.mixture = mixture

    def why_not(self, subject: Subject) -> str | None:
        one = subject.data.count(subject.split) == 1
        return "a mutual information needs two images" if one else None

    @torch.no_grad()
    def seconds(self, subject: Subject) -> float | None:
        x = next(iter(self._images(subject, 64)))
        q = subject.vae.posterior(x)
        densities, z = log_densities(q), q.sample()
        densities(z)
        started = time.monotonic()
        densities(z)
        pairs = (time.monotonic() - started) / len(x) ** 2
        count = subject.data.count(subject.split) or self.mixture
        mixtures = 1 if widened(q, 2.0) is None else 2
        return mixtures * pairs * min(self.mixture, count)

    @torch.no_grad()
    def prepare(self, subject: Subject) -> None:
        vae = subject.vae
        posteriors = [vae.posterior(x) for x in self._images(subject, self.mixture)]
        self._densities = [log_densities(q) for q in posteriors]
        with fixed_noise(subject.device, mix_seeds(subject.seed, -1)):
            z = posteriors[0].sample()[:CHOSEN_ON]
        width, self._wide = best_width(z, torch.arange(len(z)), posteriors)
        count = sum(q.batch_shape[0] for q in posteriors)
        self.kept = {"mixture": torch.tensor(count), "width": torch.tensor(width)}

    def _images(self, subject: Subject, most: int) -> Batches:
        return subject.data.loader(
            subject.split, device=subject.device, batch_size=BATCH, limit=most
        )

    @torch.no_grad()
    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        vae, q = subject.vae, subject.vae.posterior(x)
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            z = q.sample()
        own = log_densities(q)(z).diagonal()
        # an image beyond the mixture takes the place of one of its
        index = torch.arange(first, first + len(x)) % int(self.kept["mixture"])
        others = log_sum_of_others(z, index, self._densities)
        wide = others
        if self.kept["width"] != 1:
            wide = log_sum_of_others(z, index, self._wide)
        values = {"own": own, "others": others, "wide": wide}
        rate = closed_kl(vae, q)
        if rate is None:
            return values | {"rate_mc": own - double(vae.prior().log_prob(z))}
        return values | {"rate": rate}

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        count = int(self.kept["mixture"])
        rate = values["rate" if "rate" in values else "rate_mc"]
        lower, _ = information_bounds(values["own"], values["others"], count)
        _, upper = information_bounds(values["own"], values["wide"], count)
        about: dict[str, Any] = {"mixture": count}
        least = about | {"ceiling": round(math.log(count), 4)}
        most = about | {"by": "the others", "width": self.kept["width"].item()}
        if not upper.mean() < rate.mean():  # also an infinite one
            upper, most = rate, about | {"by": "the prior"}
        return [
            mean_of("mutual_information", lower, bound="lower bound", labels=least),
            mean_of("mutual_information_upper", upper, bound="upper bound", labels=most),
            mean_of("marginal_kl", rate - lower, bound="upper bound", labels=about),
            mean_of(
                "marginal_kl_lower",
                rate - upper,
                bound="lower bound",
                labels=about | {"by": most["by"]},
            ),
        ]

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        numbers = {number.name: number for number in self.numbers(subject, values)}
        found = {name: number.value for name, number in numbers.items()}
        error = numbers["mutual_information_upper"].se
        lower, upper = found["mutual_information"], found["mutual_information_upper"]
        count = int(self.kept["mixture"])
        return [
            f"rate {lower + found['marginal_kl']:.2f} = I(x; z) {lower:.2f}"
            f" + KL(q(z) || p(z)) {found['marginal_kl']:.2f} nats, where q(z) is of {count:,} images",
            information_verdict(lower, upper, count, math.inf if error is None else error),
        ]
