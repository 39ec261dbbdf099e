"""The Gaussian VAE."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from vae.estimators import Estimator
from vae.models.latents.gaussian import DiagonalGaussian
from vae.training.presets.base import Options, Preset, assert_choices, chosen_estimator

__all__ = ["GaussianVAE"]


class GaussianVAE(Preset):
    """A VAE with a diagonal Gaussian posterior and a standard Gaussian prior.

    By default it is trained by the reparameterization trick.

    Arguments:
        latent_dim: The number of latent variables.
        learned_prior: Whether the prior's location and scale are trained.
        kl: The KL term of the ELBO: in closed form, or a Monte-Carlo estimate inside the
            integrand, which stl needs.
        estimator: The paper name of an estimator (vae estimators), or the class path of one.
        estimator_options: Arguments of the estimator, if it is given by its paper name.
        kwargs: As those of :class:`Preset`, from ``image_shape`` on.
    """

    def __init__(
        self,
        latent_dim: int = 20,
        learned_prior: bool = False,
        kl: Literal["analytic", "monte_carlo"] = "analytic",
        estimator: Estimator | str = "pathwise",
        estimator_options: Options | None = None,
        **kwargs: Any,
    ) -> None:
        assert_choices(GaussianVAE, kl=kl)
        super().__init__(
            make_latent=partial(
                DiagonalGaussian, latent_dim=latent_dim, learned_prior=learned_prior
            ),
            analytic_kl=kl == "analytic",
            estimator=chosen_estimator(estimator, estimator_options),
            extra_schedules={},
            **kwargs,
        )
