"""What latent layers with a codebook share: codes, their prior, and their use."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.quantised import Embedded, PointMass, Quantised
from vae.estimators import Estimator
from vae.models.latents.base import Latent
from vae.models.networks import widen
from vae.ranges import assert_at_least_one

__all__ = ["Codes", "QuantisedLatent"]


LEAST_SPREAD = 1e-5
"""Added to the spread of a number over images."""


class QuantisedLatent(Latent):
    r"""A layer of N codes: each of N vectors of the features becomes the nearest of a codebook.

    q(z|x) is a point mass. So there is no exact gradient to certify an estimator against, more
    samples than one (K) add nothing, and what is minimised is no bound where a layer has a loss of
    its own (:meth:`auxiliary`). The ELBO is one of the model with one-hot codes (:attr:`hard`):

    .. math:: \log p(x|z) + \log p(z), \qquad z = \mathrm{codes}(x)

    With a prior that is trained, such as :class:`vae.models.priors.AutoregressivePrior`, that is the
    length of a code for the image. Its estimators are ``straight_through_codes`` and
    ``rotation_trick``.

    Arguments:
        in_features: The width H of the features.
        num_variables: N.
        num_categories: C, the size of the codebook.
        code_dim: d, the width of its vectors.
        learned_prior: Whether the probabilities of the codes, independent ones, are trained.
        decay: The weight of the past in moving averages: of how often a code is used, and of the mean
            and the spread of each number over images.
        standardise: Whether each number of the vectors is brought to mean 0 and spread 1 by them,
            in training as in evaluation. Else the first steps, in which the decoder finds the mean
            image, may move all images to the same codes.
    """

    shares_prior = True
    prior_logits: Tensor
    counts: Tensor
    mean: Tensor
    spread: Tensor
    started: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int,
        num_categories: int,
        code_dim: int,
        learned_prior: bool,
        decay: float,
        standardise: bool,
    ) -> None:
        super().__init__()
        for name, number in (
            ("in_features", in_features),
            ("num_variables", num_variables),
            ("code_dim", code_dim),
        ):
            assert_at_least_one(name, number)
        if num_categories < 2:
            raise ValueError(f"num_categories must be at least 2, got {num_categories}")
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be in [0, 1), got {decay}")
        self.num_variables, self.num_categories = num_variables, num_categories
        self.code_dim, self.learned_prior, self.decay = code_dim, learned_prior, decay
        self.code_features = num_variables * code_dim
        self.vectors_of = nn.Linear(in_features, num_variables * code_dim)
        logits = torch.zeros(num_variables, num_categories)
        if learned_prior:
            self.prior_logits = nn.Parameter(logits)
        else:
            self.register_buffer("prior_logits", logits)
        self.register_buffer("counts", torch.ones(num_categories))  # a step, on average
        self.standardise = standardise
        self.register_buffer("mean", torch.zeros(self.code_features))
        self.register_buffer("spread", torch.ones(self.code_features))
        self.register_buffer("started", torch.tensor(False))

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """The vectors, ``(C, d)``."""

    @abstractmethod
    def quantise(self, features: Tensor, train: bool) -> Quantised:
        """q(z|x) of features ``(B, H)``; if ``train``, it takes in what it sees."""

    def encode(self, features: Tensor, train: bool) -> Tensor:
        """The vectors ``(B, N, d)`` of features ``(B, H)``."""
        raw = widen(self.vectors_of(features))
        if train:
            self._observe(raw.detach())
        if self.standardise:
            raw = (raw - self.mean) / self.spread
        return raw.unflatten(-1, (-1, self.code_dim))

    def _observe(self, raw: Tensor) -> None:
        """Takes in the mean and the spread over images of each number, ``(B, N d)``."""
        past = self.decay * self.started.to(raw.dtype)  # the first batch is all there is
        spread = raw.std(0, correction=0) + LEAST_SPREAD
        self.mean.copy_(torch.lerp(raw.mean(0), self.mean, past))
        self.spread.copy_(torch.lerp(spread, self.spread, past))
        self.started.fill_(True)

    def forward(self, features: Tensor) -> Distribution:
        train = self.training and torch.is_grad_enabled()
        q = self.quantise(features, train)
        if train:
            self.counts.lerp_(q.codes.sum((0, 1)).to(self.counts.dtype), 1 - self.decay)
        return q

    def perplexity(self) -> Tensor:
        """exp H of the moving average of the codes' use in training, with shape (): from 1 to C."""
        return torch.special.entr(self.counts / self.counts.sum()).sum().exp()

    def logged(self) -> dict[str, Tensor]:
        return {"perplexity": self.perplexity()}

    def prior(self) -> Distribution:
        return self.embed(self.hard.prior())

    def embed(self, prior: Distribution) -> Distribution:
        shape = (self.num_variables, self.num_categories)
        if tuple(prior.event_shape) != shape:
            raise ValueError(
                f"a prior of {type(self).__name__} is over one-hot codes {shape}, not over"
                f" {tuple(prior.event_shape)}"
            )
        return Embedded(prior, self.codebook)

    def code(self, z: Tensor) -> Tensor:
        return z.flatten(-2)

    @property
    def hard(self) -> Latent:
        return Codes(self)

    def kl(
        self,
        q: Distribution,
        prior: Distribution | None = None,
        estimator: Estimator | None = None,
        num_samples: int = 1,
    ) -> Tensor:
        if estimator is not None:
            return super().kl(q, prior, estimator, num_samples)
        return kl_divergence(q, self.prior() if prior is None else prior)


class Codes(Latent):
    """The exact layer of quantised codes: one-hot variables ``(N, C)`` of which q is certain.

    Arguments:
        trained: The layer that is trained, with which it shares all parameters.
    """

    def __init__(self, trained: QuantisedLatent) -> None:
        super().__init__()
        self.trained = trained
        self.code_features = trained.code_features

    def forward(self, features: Tensor) -> Distribution:
        return PointMass(self.trained.quantise(features, train=False).codes)

    def prior(self) -> Distribution:
        base = OneHotCategorical(logits=self.trained.prior_logits, validate_args=False)
        return Independent(base, 1, validate_args=False)

    def code(self, z: Tensor) -> Tensor:
        return (z @ self.trained.codebook).flatten(-2)

    def kl(
        self,
        q: Distribution,
        prior: Distribution | None = None,
        estimator: Estimator | None = None,
        num_samples: int = 1,
    ) -> Tensor:
        if estimator is not None:
            return super().kl(q, prior, estimator, num_samples)
        return kl_divergence(q, self.prior() if prior is None else prior)
