r"""The rate in three parts: what the codes say of images, of each other, and of the prior.

With :math:`q_N(z) = \frac1N \sum_n q(z|x_n)`, the aggregate posterior of N images, and its marginals,

.. math::
    \frac1N \sum_n \mathrm{KL}\big(q(z|x_n) \| p(z)\big) = I_N(x; z)
    + \underbrace{\mathrm{KL}\big(q_N(z) \,\|\, \textstyle\prod_d q_N(z_d)\big)}_{\text{total correlation}}
    + \underbrace{\textstyle\sum_d \mathrm{KL}\big(q_N(z_d) \,\|\, p(z_d)\big)}_{\text{dimension-wise KL}}

each at least 0, and each an exact mean over draws :math:`z \sim q(z|x_n)` for the mixture of these N
images: no minibatch stands for it. Of the population, the total correlation of N images is an
estimate, whose error falls with N. Of discrete variables the marginals are the same sums.

References:
    | Isolating Sources of Disentanglement in VAEs (Chen et al., 2018), equation 2
    | (https://arxiv.org/abs/1802.04942).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae.data.loader import mix_seeds
from vae.data.source import Batches
from vae.distributions.operations import describe, parameters, rebuild
from vae.evaluation.densities import Densities, log_densities
from vae.evaluation.mutual_information import BATCH, log_sum_of_others
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.terms import fixed_noise

__all__ = ["TotalCorrelation", "marginals"]


@singledispatch
def marginals(q: Distribution) -> list[Distribution]:
    """The distribution of each of D variables, each with the batch shape of q.

    Raises:
        NotImplementedError: If they are not known.
    """
    raise NotImplementedError(f"the distribution of each variable of {describe(q)} is not known")


@marginals.register
def _(q: Independent) -> list[Distribution]:
    base, batch = q.base_dist, len(q.batch_shape)
    values = parameters(base)
    whole = all(value.shape[: batch + 1] == base.batch_shape for value in values.values())
    if q.reinterpreted_batch_ndims != 1 or not whole:
        raise NotImplementedError(
            f"{describe(q)} does not have its variables one beside the other"
        )
    return [
        rebuild(base, **{name: value.select(batch, d) for name, value in values.items()})
        for d in range(base.batch_shape[-1])
    ]


@marginals.register
def _(q: MultivariateNormal) -> list[Distribution]:
    scale = q.variance.sqrt()
    return [
        Normal(q.loc[..., d], scale[..., d], validate_args=False)
        for d in range(q.event_shape.numel())
    ]


class TotalCorrelation(Part):
    """The rate's three parts: mutual information, total correlation, dimension-wise KL.

    Arguments:
        mixture: Of how many images the aggregate posterior is a mixture: the first of the split,
            however many are evaluated.

    Raises:
        ValueError: If there are fewer than two.
    """

    name = "total_correlation"
    title = "the rate in three parts: mutual information, total correlation, dimension-wise KL"
    images = 1000

    def __init__(self, mixture: int = 10_000) -> None:
        if mixture < 2:
            raise ValueError(f"total_correlation_mixture must be at least 2, got {mixture}")
        self.mixture = mixture

    def why_not(self, subject: Subject) -> str | None:
        if subject.data.count(subject.split) == 1:
            return "an aggregate posterior needs two images"
        vae = subject.vae
        try:
            with torch.no_grad():
                q = vae.posterior(next(iter(self._images(subject, 2))))
                of_q, of_p = marginals(q), _prior_marginals(vae.prior())
        except NotImplementedError as error:
            return str(error)
        if len(of_q) < 2:
            return "one latent variable correlates with no other"
        return None if len(of_q) == len(of_p) else "q(z|x) and p(z) have other variables"

    @torch.no_grad()
    def seconds(self, subject: Subject) -> float | None:
        x = next(iter(self._images(subject, 64)))
        started = time.monotonic()
        self._log_densities(subject, x, 0, _all_densities([subject.vae.posterior(x)]), len(x))
        count = subject.data.count(subject.split) or self.mixture
        return (time.monotonic() - started) / len(x) ** 2 * min(self.mixture, count)

    @torch.no_grad()
    def prepare(self, subject: Subject) -> None:
        vae = subject.vae
        posteriors = [vae.posterior(x) for x in self._images(subject, self.mixture)]
        self._densities = _all_densities(posteriors)
        self.kept = {"mixture": torch.tensor(sum(q.batch_shape[0] for q in posteriors))}

    def _images(self, subject: Subject, most: int) -> Batches:
        return subject.data.loader(
            subject.split, device=subject.device, batch_size=BATCH, limit=most
        )

    @torch.no_grad()
    def measure(self, subject: Subject, x: Tensor, first: int) -> dict[str, Tensor]:
        return self._log_densities(subject, x, first, self._densities, int(self.kept["mixture"]))

    def _log_densities(
        self,
        subject: Subject,
        x: Tensor,
        first: int,
        densities: Sequence[Sequence[Densities]],
        count: int,
    ) -> dict[str, Tensor]:
        """Of a draw for each image: log q(z|x), log q_N(z), the sums of log q_N(z_d) and log p(z_d)."""
        vae, q = subject.vae, subject.vae.posterior(x)
        with fixed_noise(x.device, mix_seeds(subject.seed, first)):
            z = q.sample()
        # an image beyond the mixture takes the place of one of its
        index = torch.arange(first, first + len(x)) % count
        own = log_densities(q)(z).diagonal()
        of_q, of_p = marginals(q), _prior_marginals(vae.prior())
        product, prior = torch.zeros_like(own), torch.zeros_like(own)
        for d, (one, p) in enumerate(zip(of_q, of_p, strict=True)):
            z_d = z[:, d]
            own_d = log_densities(one)(z_d).diagonal()
            product = product + _of_all(own_d, z_d, index, densities[1 + d], count)
            prior = prior + log_densities(p)(z_d)[:, 0]
        joint = _of_all(own, z, index, densities[0], count)
        return {"own": own, "joint": joint, "product": product, "prior": prior}

    def numbers(self, subject: Subject, values: Mapping[str, Tensor]) -> list[Number]:
        labels = {"mixture": int(self.kept["mixture"])}
        own, joint, product, prior = (values[n] for n in ("own", "joint", "product", "prior"))
        return [
            mean_of("index_code_information", own - joint, bound="lower bound", labels=labels),
            mean_of("total_correlation", joint - product, labels=labels),
            mean_of("dimension_wise_kl", product - prior, labels=labels),
        ]

    def remarks(self, subject: Subject, values: Mapping[str, Tensor]) -> list[str]:
        parts = [number.value for number in self.numbers(subject, values)]
        return [
            f"rate {sum(parts):.2f} = I(x; z) {parts[0]:.2f} + total correlation {parts[1]:.2f}"
            f" + dimension-wise KL {parts[2]:.2f} nats, where q(z) is of"
            f" {int(self.kept['mixture']):,} images, each with one draw of z"
        ]


def _prior_marginals(p: Distribution) -> list[Distribution]:
    return marginals(p.expand(torch.Size([1])))


def _all_densities(posteriors: Sequence[Distribution]) -> list[list[Densities]]:
    """Of z under all posteriors, some at a time; then of each variable."""
    each = [[q, *marginals(q)] for q in posteriors]
    return [[log_densities(one) for one in some] for some in zip(*each, strict=True)]


def _of_all(
    own: Tensor, z: Tensor, index: Tensor, densities: Sequence[Densities], count: int
) -> Tensor:
    """The log-density of the mixture of N, in which each latent's own image is one."""
    return torch.logaddexp(own, log_sum_of_others(z, index, densities)) - math.log(count)
