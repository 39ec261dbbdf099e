"""Real variables whose posterior is a normalizing flow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.flow import Flow
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.networks import widen
from vae.models.zuko_flows import make_flow
from vae.ranges import assert_at_least_one

__all__ = ["FlowLatent"]


class FlowLatent(DiagonalGaussian):
    r"""Creates D real variables: a diagonal Gaussian of the image, moved by a flow of the image.

    .. math:: z = T_{c(x)}(u), \qquad u \sim \mathcal{N}(\mu(x), \mathrm{diag}\,\sigma^2(x))

    The prior is a standard (or learned) Gaussian. The KL has no closed form: give the ELBO
    ``analytic_kl=False``. Any estimator of Gaussian latents works: pathwise, sticking-the-landing,
    DReG, the score function. It needs zuko, the extra ``flows``.

    References:
        | Variational Inference with Normalizing Flows (Rezende & Mohamed, 2015)
        | (https://arxiv.org/abs/1505.05770).
        | Improved Variational Inference with Inverse Autoregressive Flow (Kingma et al., 2016)
        | (https://arxiv.org/abs/1606.04934).

    Arguments:
        latent_dim: D.
        flow: A class of ``zuko.flows``: ``MAF`` (affine maps; with ``inverse`` it is an inverse
            autoregressive flow), ``NSF`` (neural splines), ``NICE``, ``UNAF``, ...
        transforms: How many follow one another.
        hidden: Widths of the hidden layers of each.
        coupling: Whether an autoregressive flow moves one half of the variables given the other: then
            its slow direction takes two passes of the network in place of D.
        inverse: Whether the fast direction is sampling, as in training. The density of a sample of
            its own needs no second pass; that of any other point (``stl``, ``dreg``, annealing) takes
            the other direction.
        context_features: The width of the linear map of the features that the flow depends on.
        options: Further arguments of the class, as ``{"bins": 16}``.

    Raises:
        ValueError: If a number is too small, or there is no such flow.
    """

    def __init__(
        self,
        in_features: int,
        latent_dim: int = 20,
        learned_prior: bool = False,
        flow: str = "MAF",
        transforms: int = 2,
        hidden: Sequence[int] = (64,),
        coupling: bool = False,
        inverse: bool = True,
        context_features: int = 32,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(in_features, latent_dim, learned_prior)
        assert_at_least_one("context_features", context_features)
        self.context = nn.Linear(in_features, context_features)
        self.moving = make_flow(
            flow, latent_dim, context_features, transforms, hidden, coupling, inverse, options
        )

    def forward(self, features: Tensor) -> Distribution:
        loc, log_scale = self.split(self.parameters_of(features))  # (B, D) each
        return Flow(self.moving, loc, log_scale.exp(), widen(self.context(features)))
