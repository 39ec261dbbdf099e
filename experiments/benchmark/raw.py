"""The models without any library: a few linear layers, and the loss in one function.

They are the reference of every ratio of ``bench.py``: torch only, and written to be fast. Each
computes the bound that the library computes of its model, in nats an image, with the same gradient
(``tests/experiments/test_raw.py``).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["IWAE", "RLOO", "DisARM", "Gaussian", "GumbelSoftmax", "Raw"]

PIXELS = 784


def layers(widths: Sequence[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers with an activation between each two."""
    made: list[nn.Module] = []
    for before, after in pairwise(widths):
        made += [nn.Linear(before, after), activation()]
    return nn.Sequential(*made[:-1])


def log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x|z) of binary pixels, (*, B), from logits (*, B, pixels) and images (B, pixels)."""
    return -F.binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(
        -1
    )


class Raw(nn.Module):
    """An encoder, a decoder, the noise of a step, and the loss.

    Arguments:
        outputs: Numbers that the encoder gives an image: the parameters of q.
        codes: Numbers that the decoder reads.
        hidden: Widths of the encoder's hidden layers; the decoder's are the reverse.
        activation: What stands between the layers.
    """

    def __init__(
        self,
        outputs: int,
        codes: int,
        hidden: Sequence[int] = (400,),
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.encoder = layers([PIXELS, *hidden, outputs], activation)
        self.decoder = layers([codes, *reversed(hidden), PIXELS], activation)

    def forward(self, images: Tensor) -> Tensor:
        """The loss of images ``(B, *image)``, (), with fresh noise."""
        x = images.flatten(1)
        return self.loss(x, self.noise(x))

    @abstractmethod
    def noise(self, x: Tensor) -> Tensor:
        """The random numbers of a step."""

    @abstractmethod
    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        """The negative bound of images (B, pixels), (), in nats an image."""


class Gaussian(Raw):
    """The Gaussian VAE: pathwise gradient, KL in closed form (Kingma & Welling, 2014)."""

    def __init__(self, latents: int = 20, num_samples: int = 1, **network: object) -> None:
        super().__init__(2 * latents, latents, **network)  # type: ignore[arg-type]
        self.latents, self.num_samples = latents, num_samples

    def noise(self, x: Tensor) -> Tensor:  # (B, D)
        return torch.randn(len(x), self.latents, dtype=x.dtype, device=x.device)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_scale = self.encoder(x).chunk(2, -1)
        scale = log_scale.exp()
        logits = self.decoder(torch.addcmul(mean, scale, noise))
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        rate = (mean.square() + scale.square() - 1).sum() / 2 - log_scale.sum()
        return (distortion + rate) / len(x)


class IWAE(Gaussian):
    """The importance-weighted bound of K samples (Burda et al., 2016)."""

    def noise(self, x: Tensor) -> Tensor:  # (K, B, D)
        shape = self.num_samples, len(x), self.latents
        return torch.randn(shape, dtype=x.dtype, device=x.device)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_scale = self.encoder(x).chunk(2, -1)
        z = torch.addcmul(mean, log_scale.exp(), noise)
        # log p(z) - log q(z): the constants cancel
        log_ratio = (noise.square() - z.square()).sum(-1) / 2 + log_scale.sum(-1)
        log_weight = log_likelihood(self.decoder(z), x) + log_ratio
        return math.log(self.num_samples) - log_weight.logsumexp(0).mean()


class GumbelSoftmax(Raw):
    """One-hot variables, relaxed; KL of the discrete ones in closed form (Jang et al., 2017)."""

    temperature = 1.0

    def __init__(self, variables: int = 20, categories: int = 10, num_samples: int = 1) -> None:
        super().__init__(variables * categories, variables * categories)
        self.shape, self.num_samples = (variables, categories), num_samples

    def noise(self, x: Tensor) -> Tensor:  # Gumbel, (B, L, C)
        uniform = torch.rand(len(x), *self.shape, dtype=x.dtype, device=x.device)
        return uniform.log_().neg_().log_().neg_()

    def log_q(self, x: Tensor) -> Tensor:
        """log q of each category, (B, L, C)."""
        return self.encoder(x).unflatten(-1, self.shape).log_softmax(-1)

    def rate(self, log_q: Tensor) -> Tensor:
        """The KL term from a uniform prior, summed over images, ()."""
        variables, categories = self.shape
        return (log_q.exp() * log_q).sum() + len(log_q) * variables * math.log(categories)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        log_q = self.log_q(x)
        z = ((log_q + noise) / self.temperature).softmax(-1).flatten(1)
        logits = self.decoder(z)
        distortion = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (distortion + self.rate(log_q)) / len(x)


class RLOO(GumbelSoftmax):
    """One-hot variables by the score function, each of K samples against the others' mean.

    Salimans & Knowles (2014), Kool et al. (2019).
    """

    def noise(self, x: Tensor) -> Tensor:  # Gumbel, (K, B, L, C)
        shape = self.num_samples, len(x), *self.shape
        uniform = torch.rand(shape, dtype=x.dtype, device=x.device)
        return uniform.log_().neg_().log_().neg_()

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        log_q = self.log_q(x)
        index = (log_q.detach() + noise).argmax(-1, keepdim=True)
        z = torch.zeros_like(noise).scatter_(-1, index, 1.0)
        f = log_likelihood(self.decoder(z.flatten(2)), x)  # (K, B)
        signal = (f - f.mean(0)).detach() / (self.num_samples - 1)
        score = torch.einsum(
            "kb,kblc,blc->", signal, z, log_q
        )  # its value is no part of the bound
        bound = f.mean(0).sum() + (score - score.detach())
        return (self.rate(log_q) - bound) / len(x)


class DisARM(Raw):
    """Bernoulli variables by an antithetic pair (Dong et al., 2020), with a trained prior."""

    def __init__(self, variables: int = 200, **network: object) -> None:
        super().__init__(variables, variables, **network)  # type: ignore[arg-type]
        self.prior_logits = nn.Parameter(torch.zeros(variables))

    def noise(self, x: Tensor) -> Tensor:  # uniform, (B, D)
        return torch.rand(len(x), len(self.prior_logits), dtype=x.dtype, device=x.device)

    def loss(self, x: Tensor, noise: Tensor) -> Tensor:
        logits = self.encoder(x)
        q = logits.sigmoid()
        first, second = (noise < q).to(x.dtype), (1 - noise < q).to(x.dtype)
        f, g = log_likelihood(self.decoder(torch.stack([first, second])), x)  # (B,) each
        with torch.no_grad():
            signal = (f - g).unsqueeze(-1) * (first - second) * logits.abs().sigmoid() / 2
        score = (signal * logits).sum()  # its value is no part of the bound
        bound = (f + g).sum() / 2 + (score - score.detach())
        prior = self.prior_logits
        rate = (q * (logits - prior) + F.softplus(prior) - F.softplus(logits)).sum()
        return (rate - bound) / len(x)
