"""Models whose answers are known: every number of an evaluation is compared with an exact one.

``linear_gaussian`` is probabilistic PCA, of which everything is known; ``small_one_hot`` and
``small_binary`` are small enough to be summed over, latents and images. All are ordinary models,
``linear_gaussian`` with a likelihood of one's own. Truth is computed in float64, by formulae that
share nothing with the library.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.distributions import (
    Distribution,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from vae import VAE
from vae.models.latents.base import Latent
from vae.models.latents.binary import Binary
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.subset import ConditionalBernoulliLatent, PlackettLuceLatent
from vae.models.likelihoods import Bernoulli, Likelihood
from vae.models.networks import MLPDecoder, MLPEncoder


class LinearPixels(Likelihood):
    """Gaussian pixels of known scale, whose mean is what the decoder says."""

    def __init__(self, decoder: nn.Module, scale: float) -> None:
        super().__init__(decoder)
        self.scale = scale

    def pixels(self, parameters: Tensor) -> Distribution:
        return Normal(parameters[0], self.scale, validate_args=False)


class LinearGaussian(VAE):
    """Probabilistic PCA: z ~ N(0, I), x = W z + b + s e; q(z|x) = N(A (x - b) + c, diag(t^2)).

    Images are (1, 1, P). Everything below is exact, in float64.
    """

    def __init__(self, weight: Tensor, bias: Tensor, scale: float) -> None:
        pixels, latent_dim = weight.shape
        linear = nn.Linear(latent_dim, pixels)
        shape = (1, 1, pixels)
        decoder = nn.Sequential(linear, nn.Unflatten(-1, (1, *shape)))
        super().__init__(
            nn.Flatten(),
            DiagonalGaussian(pixels, latent_dim),
            LinearPixels(decoder, scale),
            image_shape=shape,
        )
        with torch.no_grad():
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
        self.weight, self.bias = linear.weight.detach().double(), linear.bias.detach().double()
        self.scale = scale
        self.set_encoder()

    @property
    def precision(self) -> Tensor:
        """The exact posterior's, (D, D), the same for every x."""
        return torch.eye(self.weight.shape[1]).double() + self.weight.T @ self.weight / (
            self.scale**2
        )

    def true_posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z|x), with its full covariance and batch shape (B,)."""
        centred = x.flatten(1).double() - self.bias
        mean = torch.linalg.solve(self.precision, (centred @ self.weight / self.scale**2).T).T
        return MultivariateNormal(mean, precision_matrix=self.precision)

    def evidence(self) -> MultivariateNormal:
        """p(x), of flat images (P,)."""
        noise = self.scale**2 * torch.eye(len(self.weight)).double()
        return MultivariateNormal(self.bias, self.weight @ self.weight.T + noise)

    def log_p(self, x: Tensor) -> Tensor:
        """The exact log p(x) in nats, (B,)."""
        return self.evidence().log_prob(x.flatten(1).double())

    def draw(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Latents (n, D) of the prior, and images (n, 1, 1, P) of p(x|z)."""
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.weight.shape[1], generator=generator, dtype=torch.float64)
        noise = torch.randn(n, len(self.weight), generator=generator, dtype=torch.float64)
        x = z @ self.weight.T + self.bias + self.scale * noise
        dtype = self.latent.parameters_of.weight.dtype
        return z.to(dtype), x.view(n, *self.image_shape).to(dtype)

    def set_encoder(self, shift: Tensor | float = 0.0, stretch: Tensor | float = 1.0) -> None:
        """Makes q(z|x) the best diagonal Gaussian of every x, or that made wrong.

        The best has the exact mean and the inverse of the precision's diagonal as variances. Where
        W's columns are orthogonal it is the posterior itself.

        Arguments:
            shift: What is added to its mean, in its standard deviations: a number, or (D,).
            stretch: What its standard deviation is multiplied by.
        """
        best = self.precision.diagonal().rsqrt()  # (D,)
        gain = torch.linalg.solve(self.precision, self.weight.T / self.scale**2)
        self.set_affine(gain, shift * best, stretch * best)

    def set_affine(self, gain: Tensor, shift: Tensor, scale: Tensor) -> None:
        """Makes q(z|x) = N(A (x - b) + c, diag(t^2)): A is (D, P), c and t are (D,)."""
        layer, size = self.latent.parameters_of, self.weight.shape[1]
        self.gain, self.shift, self.spread = gain.double(), shift.double(), scale.double()
        with torch.no_grad():
            layer.weight.zero_()[:size] = self.gain
            layer.bias[:size] = self.shift - self.gain @ self.bias
            layer.bias[size:] = self.spread.log()

    def true_q(self, x: Tensor) -> MultivariateNormal:
        """q(z|x) in float64, with batch shape (B,)."""
        mean = (x.flatten(1).double() - self.bias) @ self.gain.T + self.shift
        return MultivariateNormal(mean, torch.diag(self.spread.square()))

    def rate(self, x: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)), (B,)."""
        return kl_divergence(self.true_q(x), self.true_prior())

    def elbo(self, x: Tensor) -> Tensor:
        """log p(x) - KL(q(z|x) || p(z|x)), (B,)."""
        return self.log_p(x) - kl_divergence(self.true_q(x), self.true_posterior(x))

    def distortion(self, x: Tensor) -> Tensor:
        """E_q[-log p(x|z)], (B,)."""
        return -self.elbo(x) - self.rate(x)

    def approximation_gap(self) -> Tensor:
        """log p(x) less the ELBO of the best diagonal Gaussian: the same for every x, ()."""
        return (self.precision.diagonal().log().sum() - self.precision.logdet()) / 2

    def amortization_gap(self, x: Tensor) -> Tensor:
        """The ELBO of the best diagonal Gaussian less that of q, (B,)."""
        return self.log_p(x) - self.approximation_gap() - self.elbo(x)

    def rate_distortion(self, x: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """Rate and distortion at the slope -beta of their curve, (B,) each: of the density in
        proportion to p(z) p(x|z)^beta."""
        noise = self.scale**2
        precision = torch.eye(self.weight.shape[1]).double()
        precision = precision + beta / noise * self.weight.T @ self.weight
        centred = x.flatten(1).double() - self.bias
        mean = torch.linalg.solve(precision, beta / noise * (centred @ self.weight).T).T
        tilted = MultivariateNormal(mean, precision_matrix=precision)
        error = (centred - mean @ self.weight.T).square().sum(-1)
        error = error + torch.trace(self.weight @ tilted.covariance_matrix[0] @ self.weight.T)
        distortion = error / 2 / noise + len(self.weight) / 2 * math.log(2 * math.pi * noise)
        return kl_divergence(tilted, self.true_prior()), distortion

    def true_prior(self) -> MultivariateNormal:
        """p(z) in float64."""
        eye = torch.eye(self.weight.shape[1]).double()
        return MultivariateNormal(eye[0] * 0, eye)

    def aggregate(self) -> MultivariateNormal:
        """The population's q(z) = E_p(x)[q(z|x)]: a Gaussian, as x is one."""
        moved = self.gain @ self.evidence().covariance_matrix @ self.gain.T
        return MultivariateNormal(self.shift, moved + torch.diag(self.spread.square()))

    def mutual_information(self) -> Tensor:
        """The population's I(x; z) of p(x) q(z|x) in nats, ()."""
        return self.aggregate().covariance_matrix.logdet() / 2 - self.spread.log().sum()

    def marginal_kl(self) -> Tensor:
        """The population's KL(q(z) || p(z)) in nats, (): E[rate] less I(x; z)."""
        return kl_divergence(self.aggregate(), self.true_prior())


def linear_gaussian(
    latent_dim: int = 2,
    pixels: int = 6,
    scale: float = 0.5,
    orthogonal: bool = True,
    size: float = 1.0,
    seed: int = 0,
) -> LinearGaussian:
    """Probabilistic PCA with random W (P, D), about ``size`` long columns, and b.

    Everything about it is exact: see :class:`LinearGaussian`. Its q starts as the best diagonal
    Gaussian: the posterior itself where W's columns are orthogonal.

    Arguments:
        latent_dim: D.
        pixels: P, at least D.
        scale: s, of the pixels' noise: the smaller, the narrower the posterior.
        orthogonal: Whether W's columns are, so that the posterior is diagonal.
        size: The length of W's columns; they differ by a factor of up to 2.
        seed: Of W and b.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(pixels, latent_dim, generator=generator, dtype=torch.float64)
    if orthogonal:
        weight = torch.linalg.qr(weight).Q
    lengths = size * torch.linspace(1, 2, latent_dim, dtype=torch.float64)
    weight = weight / weight.norm(dim=0) * lengths
    bias = torch.randn(pixels, generator=generator, dtype=torch.float64)
    return LinearGaussian(weight, bias, scale).eval()


def _small(latent_class: type[Latent], *sizes: int, seed: int = 0, sharp: float = 3.0) -> VAE:
    shape = (1, 2, 3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        latent = latent_class(6, *sizes, learned_prior=True)
        vae = VAE(
            MLPEncoder(shape, [6]),
            latent,
            Bernoulli(MLPDecoder(latent.code_features, shape, hidden=[8])),
        )
        with torch.no_grad():
            latent.prior_logits.normal_()
            for p in [*latent.logits.parameters(), *vae.likelihood.parameters()]:
                p.mul_(sharp)
    return vae.eval()


def small_one_hot(seed: int = 0) -> VAE:
    """3 variables of 3 categories, 6 Bernoulli pixels (1, 2, 3), a learned prior: 27 latents and 64
    images, of which :class:`Enumerated` knows everything."""
    return _small(OneHot, 3, 3, seed=seed)


def small_binary(seed: int = 0) -> VAE:
    """5 binary variables and 6 Bernoulli pixels (1, 2, 3): 32 latents and 64 images, as
    :func:`small_one_hot`."""
    return _small(Binary, 5, seed=seed)


def small_conditional(seed: int = 0) -> VAE:
    """2 of 5 items, conditional Bernoulli, and 6 pixels: 10 latents, as :func:`small_one_hot`."""
    return _small(ConditionalBernoulliLatent, 5, 2, seed=seed)


def small_ranking(seed: int = 0) -> VAE:
    """The first 2 of 5 items of a Plackett-Luce ranking, as :func:`small_conditional`."""
    return _small(PlackettLuceLatent, 5, 2, seed=seed)


class Enumerated:
    """All that is to be known of a small discrete model, by sums in float64.

    Attributes:
        z: Every latent, (S, *event).
        images: Every image, (64, 1, 2, 3).
        log_prior: log p(z), (S,).
        log_pixels: log p(x|z) of every image, (S, 64).
    """

    def __init__(self, vae: VAE) -> None:
        self.vae = vae
        logits = vae.latent.prior_logits.detach().double()
        if hasattr(vae.latent, "k"):
            sets = list(itertools.combinations(range(len(logits)), vae.latent.k))
            values = [torch.zeros(len(logits)).index_fill(0, torch.tensor(s), 1.0) for s in sets]
            orders = isinstance(vae.latent, PlackettLuceLatent)
            log_probs = [_log_ranked(logits, s) if orders else logits[list(s)].sum() for s in sets]
            self.log_prior = torch.stack(log_probs).log_softmax(0)
        elif logits.dim() == 2:
            eye = torch.eye(logits.shape[1])
            values = [torch.stack(rows) for rows in itertools.product(eye, repeat=len(logits))]
            log_probs = logits.log_softmax(-1)
            self.log_prior = torch.stack([(v * log_probs).sum() for v in values])
        else:
            values = [torch.tensor(v) for v in itertools.product([0.0, 1.0], repeat=len(logits))]
            self.log_prior = torch.stack([_log_bernoulli(logits, v) for v in values])
        self.z = torch.stack(values).to(vae.latent.prior_logits)
        pixels = math.prod(vae.image_shape)
        images = [torch.tensor(v) for v in itertools.product([0.0, 1.0], repeat=pixels)]
        self.images = torch.stack(images).view(-1, *vae.image_shape).to(self.z)
        self.log_pixels = self.log_likelihoods(self.images)

    def log_likelihoods(self, x: Tensor) -> Tensor:
        """log p(x|z) of every latent and these images, (S, B)."""
        with torch.no_grad():
            logits = self.vae.likelihood.decoder(self.z.flatten(1)).squeeze(1).double()
        return _log_bernoulli(logits.flatten(1)[:, None], x.flatten(1))

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, z), (S, B)."""
        return self.log_likelihoods(x) + self.log_prior[:, None]

    def log_p(self, x: Tensor) -> Tensor:
        """The exact log p(x), (B,)."""
        return self.log_joint(x).logsumexp(0)

    def true_posterior(self, x: Tensor) -> Tensor:
        """p(z|x), (S, B)."""
        return self.log_joint(x).softmax(0)

    def q(self, x: Tensor) -> Tensor:
        """q(z|x), (S, B)."""
        with torch.no_grad():
            return self.vae.posterior(x).log_prob(self.z[:, None]).double().exp()

    def elbo(self, x: Tensor) -> Tensor:
        """E_q[log p(x, z) - log q(z|x)], (B,)."""
        q = self.q(x)
        return (q * self.log_joint(x) - torch.special.xlogy(q, q)).sum(0)

    def rate(self, x: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)), (B,)."""
        q = self.q(x)
        return (torch.special.xlogy(q, q) - q * self.log_prior[:, None]).sum(0)

    def weights(self) -> Tensor:
        """p(x) of every image, (64,)."""
        return (self.log_pixels + self.log_prior[:, None]).logsumexp(0).exp()

    def mutual_information(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """I(x; z) of q(z|x) over these images, (): each as likely, or with weights (B,) that sum to
        1. The population's: ``mutual_information(images, weights())``."""
        q = self.q(x)
        weights = torch.full((len(x),), 1 / len(x)).double() if weights is None else weights
        return -_negative_entropy(q @ weights) + weights @ torch.special.xlogy(q, q).sum(0)

    def marginal_kl(self, x: Tensor, weights: Tensor | None = None) -> Tensor:
        """KL(q(z) || p(z)) of the same q(z) as in :meth:`mutual_information`, ()."""
        weights = torch.full((len(x),), 1 / len(x)).double() if weights is None else weights
        aggregate = self.q(x) @ weights
        return _negative_entropy(aggregate) - aggregate @ self.log_prior

    def draw(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Latents (n, *event) of the prior, and images (n, 1, 2, 3) of p(x|z)."""
        generator = torch.Generator().manual_seed(seed)
        index = torch.multinomial(self.log_prior.exp(), n, True, generator=generator)
        z = self.z[index]
        with torch.no_grad():
            means = self.vae.decode(z).mean
        return z, torch.bernoulli(means, generator=generator)


def _log_ranked(logits: Tensor, items: tuple[int, ...]) -> Tensor:
    """The log-probability that these items are drawn first, without replacement, in any order."""
    w = logits.softmax(-1)
    total = torch.zeros(()).double()
    for order in itertools.permutations(items):
        p = torch.ones(()).double()
        for i, item in enumerate(order):
            p = p * w[item] / (1 - w[list(order[:i])].sum())
        total = total + p
    return total.log()


def _log_bernoulli(logits: Tensor, value: Tensor) -> Tensor:
    """The log-probability of bits, summed over the last dimension."""
    signs = 2 * value.to(logits) - 1
    return nn.functional.logsigmoid(signs * logits).sum(-1)


def _negative_entropy(probs: Tensor) -> Tensor:
    return torch.special.xlogy(probs, probs).sum()
