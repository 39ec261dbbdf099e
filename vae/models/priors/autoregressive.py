"""An autoregressive prior over discrete latents, by a masked network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, Independent, OneHotCategorical
from torch.nn.functional import linear

from vae.distributions.autoregressive import Autoregressive
from vae.distributions.operations import base_of, describe, detach, logits_of, with_logits
from vae.models.latents.base import Latent
from vae.models.prior import Posterior, Prior
from vae.ranges import assert_at_least_one

__all__ = ["AutoregressivePrior", "MaskedLinear"]


class MaskedLinear(nn.Linear):
    """Creates a linear layer, some of whose weights are zero for ever.

    Arguments:
        mask: Which are not, with shape ``(out_features, in_features)``.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.mask, self.bias)


class AutoregressivePrior(Prior):
    r"""Creates a prior of discrete variables, each given those before it: a MADE.

    .. math:: p(z) = \prod_n p(z_n \mid z_1, \dots, z_{n-1})

    It starts as the uniform prior. ``log_prob`` is one pass of the network, ``sample`` one for each
    variable. Its KL has no closed form: give the ELBO ``analytic_kl=False``. It is what makes a model
    with quantised codes (:class:`vae.models.latents.vector_quantized.VectorQuantized`) a model of
    images with a likelihood and samples; there it sees the codes and no gradient reaches them.

    References:
        | MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015)
        | (https://arxiv.org/abs/1502.03509).

    Arguments:
        latent: The layer: its variables are one-hot, ``(N, C)``, or binary, ``(N,)``.
        hidden: Widths of the hidden layers; with none, logits are linear in the variables before.

    Raises:
        ValueError: If the latents are others, or a width is less than 1.
    """

    uniform: Tensor

    def __init__(self, latent: Latent, hidden: Sequence[int] = (256,)) -> None:
        super().__init__()
        own = latent.hard.prior()
        discrete = isinstance(base_of(own), (Bernoulli, OneHotCategorical))
        if not discrete or not isinstance(own, Independent):
            raise ValueError(
                "AutoregressivePrior is over one-hot or binary latents, and those of"
                f" {type(latent).__name__} have the prior {describe(own)}"
            )
        for width in hidden:
            assert_at_least_one("hidden", width)
        logits = logits_of(own)
        N = logits.shape[0]
        size = logits[0].numel()  # of a variable
        self.register_buffer("uniform", torch.zeros_like(logits), persistent=False)
        self.family = detach(own)
        # a unit of degree m sees the variables before m; the logits of variable n have degree n
        entries = torch.arange(N).repeat_interleave(size)
        layers: list[nn.Module] = []
        before, strictly = entries, True
        for width in hidden:
            degrees = torch.arange(width) % max(N - 1, 1) + 1
            seen = degrees[:, None] > before if strictly else degrees[:, None] >= before
            layers += [MaskedLinear(seen), nn.ReLU()]
            before, strictly = degrees, False
        seen = entries[:, None] > before if strictly else entries[:, None] >= before
        last = MaskedLinear(seen)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.net = nn.Sequential(*layers, last)

    def conditional(self, z: Tensor) -> Tensor:
        """The logits of each variable given those before it, with the shape of z."""
        size = len(self.uniform.shape)
        flat = z.flatten(-size).to(self.uniform.dtype)
        return self.net(flat).reshape(z.shape)  # type: ignore[no-any-return]

    def forward(self, posterior: Posterior) -> Distribution:
        independent = with_logits(self.family, self.uniform)
        assert isinstance(independent, Independent)
        return Autoregressive(self.conditional, independent)
