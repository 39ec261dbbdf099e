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
from vae.ranges import assert_at_least_one

__all__ = ["Codes", "QuantisedLatent"]


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
        decay: The weight of the past in the moving average of how often a code is used.
    """

    shares_prior = True
    prior_logits: Tensor
    counts: Tensor

    def __init__(
        self,
        in_features: int,
        num_variables: int,
        num_categories: int,
        code_dim: int,
        learned_prior: bool,
        decay: float,
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

    @property
    @abstractmethod
    def codebook(self) -> Tensor:
        """The vectors, ``(C, d)``."""

    @abstractmethod
    def quantise(self, features: Tensor, train: bool) -> Quantised:
        """q(z|x) of features ``(B, H)``; if ``train``, it takes in what it sees."""

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
