"""Parts of one's own: an estimator, an objective, an encoder, a latent layer, a prior, and so on.

Copy this file, and mine.yaml, to a folder of yours and run ``vae fit --config mine.yaml`` there."""

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Size, Tensor, nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    Normal,
)

import vae
from vae.estimators import Estimate, Integrand, attach
from vae.objectives import Model


class BatchMean(vae.Estimator):
    """REINFORCE whose baseline is the mean of f over the batch's other samples."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def estimate(
        self, q: Distribution, f: Integrand, objective: vae.Objective, context: Tensor | None
    ) -> Estimate:
        z = q.sample(Size([objective.num_samples]))  # (K, B, *event)
        fz = f(z, q)  # (K, B), in nats
        others = (fz.sum() - fz).detach() / max(fz.numel() - 1, 1)  # without a sample's own f
        signal = objective.signal(fz.detach(), self.weight * others)
        return Estimate(attach(objective.reduce(fz), (signal * q.log_prob(z)).sum(0)))


class TemperedELBO(vae.Average):
    """E_q[weight log p(x|z) + log p(z) - log q(z|x)]: a bound on log p(x) if the weight is 1."""

    def __init__(self, num_samples: int = 1, weight: float = 1.0) -> None:
        super().__init__(num_samples)
        self.weight = weight

    def integrand(self, model: Model, x: Tensor, z: Tensor, q: Distribution) -> Tensor:
        log_likelihood = model.decode(z).log_prob(x)  # (K, B), in nats
        return self.weight * log_likelihood + model.prior().log_prob(z) - q.log_prob(z)


class Wide(nn.Module):
    """An encoder: any module with out_features, made from the shape of the images."""

    def __init__(self, image_shape: tuple[int, int, int], width: int = 64) -> None:
        super().__init__()
        self.out_features = width
        self.body = nn.Sequential(nn.Flatten(), nn.LazyLinear(width), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class LaplaceLatent(vae.Latent):
    """q(z|x) and p(z) are Laplace distributions."""

    def __init__(self, in_features: int, num_variables: int = 4) -> None:
        super().__init__()
        self.code_features = num_variables  # what the decoder reads
        self.parameters_of = nn.Linear(in_features, 2 * num_variables)

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = self.parameters_of(features).chunk(2, -1)
        return Independent(Laplace(loc, log_scale.exp(), validate_args=False), 1)

    def prior(self) -> Distribution:
        zero = self.parameters_of.bias.new_zeros(self.code_features)
        return Independent(Laplace(zero, zero + 1, validate_args=False), 1)


class Clusters(vae.Prior):
    """p(z) is a mixture of Gaussians of unit scale, whose means are learned."""

    def __init__(self, latent: vae.Latent, num_clusters: int = 5) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.randn(num_clusters, latent.code_features))
        self.register_buffer("logits", torch.zeros(num_clusters))

    def forward(self, posterior: Callable[[Tensor], Distribution]) -> Distribution:
        clusters = Independent(Normal(self.loc, 1.0, validate_args=False), 1)
        weights = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(weights, clusters, validate_args=False)


class SoftBernoulli(vae.Likelihood):
    """Bernoulli pixels whose logits are halved."""

    binary = True

    def pixels(self, parameters: Tensor) -> Distribution:
        return Bernoulli(logits=parameters[0] / 2, validate_args=False)


class Threes(vae.ImageDataModule):
    """The threes among scikit-learn's digits."""

    image_shape = (1, 8, 8)

    def load(self) -> dict[str, Tensor]:
        digits = load_digits()
        images = torch.from_numpy(digits.images[digits.target == 3]) * (255 / 16)
        train, val, test = images.round().to(torch.uint8)[:, None].split([103, 40, 40])
        return {"train": train, "val": val, "test": test}
