r"""Mixtures of diagonal Gaussians whose samples can be differentiated.

.. math:: q(z) = \sum_a w_a \prod_d \mathcal{N}(z_d; \mu_{ad}, \sigma_{ad}^2)

Which component a sample comes from has no derivative, but the sample has: it is the solution z of
:math:`S(z) = u` with uniform u, where the distribution functions of each coordinate given those
before it,

.. math:: S_d(z) = \sum_a w_a^{(d)} \Phi\Big(\frac{z_d - \mu_{ad}}{\sigma_{ad}}\Big), \qquad
    w_a^{(d)} \propto w_a \prod_{e < d} \mathcal{N}(z_e; \mu_{ae}, \sigma_{ae}^2),

make any z uniform numbers. By implicit differentiation :math:`\partial z / \partial \phi =
-(\partial S / \partial z)^{-1} \, \partial S / \partial \phi`, exactly, in any number of dimensions:
the matrix is triangular, with the densities of :math:`z_d` given those before it on the diagonal
and

.. math:: \frac{\partial S_d}{\partial z_e} = \sum_a w_a^{(d)} (\Phi_{ad} - S_d) \,
    \frac{\mu_{ae} - z_e}{\sigma_{ae}^2}, \qquad e < d,

below it.

References:
    | Stochastic Backpropagation through Mixture Density Distributions (Graves, 2016)
    | (https://arxiv.org/abs/1607.05690).
    | Implicit Reparameterization Gradients (Figurnov, Mohamed & Mnih, 2018), section 3
    | (https://arxiv.org/abs/1805.08498).
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.types import _size

from vae.distributions.one_hot import gumbel_like
from vae.distributions.special import HALF_LOG_2PI, finite

__all__ = ["GaussianMixture", "StratifiedGaussianMixture"]


class GaussianMixture(Distribution):
    """Creates a mixture of A diagonal Gaussians, of events ``(D,)``.

    Arguments:
        logits: Of the components' weights, ``(*, A)``.
        loc: The components' means, ``(*, A, D)``.
        scale: Their standard deviations, ``(*, A, D)``.
    """

    arg_constraints = {
        "logits": constraints.real_vector,
        "loc": constraints.independent(constraints.real, 2),
        "scale": constraints.independent(constraints.positive, 2),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, logits: Tensor, loc: Tensor, scale: Tensor, validate_args: bool | None = None
    ) -> None:
        batch = torch.broadcast_shapes(logits.shape[:-1], loc.shape[:-2], scale.shape[:-2])
        self.logits = logits.expand(*batch, logits.shape[-1])
        self.loc = loc.expand(*batch, *loc.shape[-2:])
        self.scale = scale.expand(*batch, *loc.shape[-2:])
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Distribution:
        new = self._get_checked_instance(type(self), _instance)
        new.logits = self.logits.expand(*batch_shape, *self.logits.shape[-1:])
        new.loc = self.loc.expand(*batch_shape, *self.loc.shape[-2:])
        new.scale = self.scale.expand(*batch_shape, *self.scale.shape[-2:])
        Distribution.__init__(new, Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def log_weights(self) -> Tensor:
        """The logarithms of the components' weights, ``(*, A)``."""
        return finite(self.logits).log_softmax(-1)

    @property
    def mean(self) -> Tensor:
        return (self.log_weights.exp().unsqueeze(-1) * self.loc).sum(-2)

    @property
    def variance(self) -> Tensor:
        weights = self.log_weights.exp().unsqueeze(-1)
        apart = (self.loc - self.mean.unsqueeze(-2)).square()
        return (weights * (self.scale.square() + apart)).sum(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (self.log_weights + self._log_densities(value).sum(-1)).logsumexp(-1)

    def _log_densities(self, value: Tensor) -> Tensor:
        """Of each coordinate under each component, ``(*, A, D)``."""
        x = (value.unsqueeze(-2) - self.loc) / self.scale
        return -x.square() / 2 - self.scale.log() - HALF_LOG_2PI

    def sample(self, sample_shape: _size = Size()) -> Tensor:
        with torch.no_grad():
            shape = self._extended_shape(Size(sample_shape))
            noise = gumbel_like(self.logits, shape[:-1] + self.logits.shape[-1:])
            chosen = (finite(self.logits) + noise).argmax(-1)
            return self._draw(chosen, shape)

    def _draw(self, chosen: Tensor, shape: Size) -> Tensor:
        """A sample of the component that is ``chosen`` for each, an index ``(*sample, *batch)``."""
        index = chosen[..., None, None].expand(*chosen.shape, 1, shape[-1])
        loc, scale = (
            p.expand(*chosen.shape, *p.shape[-2:]).gather(-2, index).squeeze(-2)
            for p in (self.loc, self.scale)
        )
        return loc + scale * torch.randn(shape, dtype=loc.dtype, device=loc.device)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        z = self.sample(sample_shape)  # (*sample, *batch, D)
        x = (z.unsqueeze(-2) - self.loc) / self.scale  # (*, A, D)
        log_density = -x.square() / 2 - self.scale.log() - HALF_LOG_2PI
        before = log_density.cumsum(-1) - log_density
        log_weights = (self.log_weights.unsqueeze(-1) + before).log_softmax(-2)  # w_a^(d)
        weights = log_weights.exp()
        # S up to a constant of each coordinate: of the two tails the smaller, which is exact
        below, above = torch.special.ndtr(x), torch.special.ndtr(-x)
        upper = ((weights * below).sum(-2, keepdim=True) > 0.5).detach()
        tail = torch.where(upper, -above, below)
        distribution = (weights * tail).sum(-2)  # (*, D)
        with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
            excess = weights * (tail - distribution.unsqueeze(-2))  # (*, A, D)
            matrix = (excess.transpose(-1, -2) @ (-x / self.scale)).tril(-1)
            density = (log_weights + log_density).logsumexp(-2).exp()
            density = density.clamp_min(torch.finfo(density.dtype).tiny)
            matrix = matrix + torch.diag_embed(density)
        change = (distribution - distribution.detach()).unsqueeze(-1)  # zero, with a gradient
        return z - torch.linalg.solve_triangular(matrix, change, upper=False).squeeze(-1)


class StratifiedGaussianMixture(GaussianMixture):
    r"""Creates a mixture of A diagonal Gaussians of weight 1/A, whose ``rsample`` is stratified.

    Of the K samples of one call, no component has two before every other has one: each is of q
    taken alone, and together they lie closer to its expectation than independent ones. With K = A
    it is the sum over components of the MISELBO, with fewer that over a random subset of them
    without replacement (some to all), in both cases with all A components in the density,

    .. math:: \frac1K \sum_{k=1}^K \log \frac{p(x, z_k)}{\frac1A \sum_{a=1}^A q_a(z_k)}, \qquad z_k \sim q_{a_k},

    without bias. The weights are constants, so that a sample is reparameterized within its
    component. ``sample`` draws independent ones.

    Attributes:
        stratified: Whether the samples of one ``rsample`` depend on one another: of a bound that is
            not their average, its mean is another.

    References:
        | Efficient Mixture Learning in Black-Box Variational Inference (Hotti et al., 2024),
        | section 4 (https://arxiv.org/abs/2406.07083).

    Arguments:
        loc: The components' means, ``(*, A, D)``.
        scale: Their standard deviations, ``(*, A, D)``.
    """

    arg_constraints = {
        name: constraint
        for name, constraint in GaussianMixture.arg_constraints.items()
        if name != "logits"
    }
    stratified = True

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        super().__init__(torch.zeros_like(loc[..., 0]), loc, scale, validate_args=validate_args)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        components, samples = self.loc.shape[-2], Size(sample_shape).numel()
        rounds = -(-samples // components)
        keys = torch.rand((rounds, *self.batch_shape, components), device=self.loc.device)
        chosen = keys.argsort(-1).movedim(-1, 1).flatten(0, 1)[:samples]  # (K, *batch)
        return self._draw(chosen.reshape(shape[:-1]), shape)
