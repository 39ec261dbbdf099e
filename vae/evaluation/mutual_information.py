r"""How much z holds of an image, and how far the codes of all images are from the prior.

With :math:`q_N(z) = \frac1N \sum_n q(z|x_n)`, the aggregate posterior of N images, the rate has two
parts, each at least 0:

.. math:: \frac1N \sum_n \mathrm{KL}\big(q(z|x_n) \| p(z)\big) = I_N(x; z) + \mathrm{KL}\big(q_N(z) \| p(z)\big)

:math:`I_N` is exact for images drawn from these N, and at most log N. Of all images that there might
be, the population, it is a lower bound. An upper one leaves out of the mixture the image that z was
drawn for, and the rate is another:

.. math:: \mathbb{E}\Big[\log \frac{q(z_i|x_i)}{\frac1N \sum_j q(z_i|x_j)}\Big] = I_N
    \le I(x; z) \le \mathbb{E}\Big[\log \frac{q(z_i|x_i)}{\frac1{N-1} \sum_{j \ne i} q(z_i|x_j)}\Big]

References:
    | ELBO surgery (Hoffman & Johnson, 2016): the rate's two parts
    | (https://approximateinference.org/accepted/HoffmanJohnson2016.pdf).
    | On Variational Bounds of Mutual Information (Poole et al., 2019), section 2.5, where q(z|x) is
    | known (https://arxiv.org/abs/1905.06922).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vae.data.loader import mix_seeds
from vae.data.source import Batches
from vae.devices import double
from vae.evaluation.collapse import information_verdict
from vae.evaluation.densities import Densities, log_densities
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import closed_kl, fixed_noise

__all__ = ["Codes", "information_bounds", "log_sum_of_others"]


BATCH = 500
"""Posteriors at a time."""


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
        return pairs * min(self.mixture, count)

    @torch.no_grad()
    def prepare(self, subject: Subject) -> None:
        self._densities: list[Densities] = []
        count = 0
        for x in self._images(subject, self.mixture):
            self._densities.append(log_densities(subject.vae.posterior(x)))
            count += len(x)
        self.kept = {"mixture": torch.tensor(count)}

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
        rate = closed_kl(vae, q)
        if rate is None:
            return {"own": own, "others": others, "rate_mc": own - double(vae.prior().log_prob(z))}
        return {"own": own, "others": others, "rate": rate}

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        count = int(self.kept["mixture"])
        rate = values["rate" if "rate" in values else "rate_mc"]
        lower, left_out = information_bounds(values["own"], values["others"], count)
        about: dict[str, Any] = {"mixture": count}
        least = about | {"ceiling": round(math.log(count), 4)}
        upper, most = left_out, about | {"by": "leaving one out"}
        if not left_out.mean() < rate.mean():  # also an infinite one
            upper, most = rate, about | {"by": "the rate"}
            if left_out.isfinite().all():
                most["leaving_one_out"] = round(left_out.mean().item(), 4)
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
        found = {number.name: number.value for number in self.numbers(subject, values)}
        lower, upper = found["mutual_information"], found["mutual_information_upper"]
        count = int(self.kept["mixture"])
        return [
            f"rate {lower + found['marginal_kl']:.2f} = I(x; z) {lower:.2f}"
            f" + KL(q(z) || p(z)) {found['marginal_kl']:.2f} nats, where q(z) is of {count:,} images",
            information_verdict(lower, upper, count),
        ]
