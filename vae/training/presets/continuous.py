"""VAEs of other continuous latents, and of counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch

from vae.checked_arguments import checked
from vae.estimators import Estimator
from vae.models.latents import (
    BetaLatent,
    DirichletLatent,
    GammaLatent,
    Latent,
    PoissonLatent,
    VonMisesLatent,
)
from vae.training.presets.base import (
    Options,
    Preset,
    assert_choices,
    chosen_estimator,
    part_of,
)

__all__ = ["ContinuousVAE"]

LATENTS: dict[str, type[Latent]] = {
    "gamma": GammaLatent,
    "beta": BetaLatent,
    "dirichlet": DirichletLatent,
    "von_mises": VonMisesLatent,
    "poisson": PoissonLatent,
}


class ContinuousVAE(Preset):
    """A VAE with Gamma, Beta, Dirichlet, von Mises or Poisson latents.

    By default it is trained by implicit reparameterization where the family has it, and by RLOO
    where it does not.

    Arguments:
        latent: gamma, beta, dirichlet, von_mises, poisson, or the class path of a latent layer.
        latent_options: Arguments of the layer that a word names: ``num_variables``,
            ``learned_prior``, and those of its prior.
        kl: The KL term of the ELBO: in closed form, or a Monte-Carlo estimate inside the
            integrand, which stl needs.
        estimator: The paper name of an estimator (vae estimators), or the class path of one; by
            default pathwise or rloo.
        estimator_options: Arguments of the estimator, if it is given by its paper name.
        kwargs: As those of :class:`Preset`, from ``image_shape`` on.
    """

    def __init__(
        self,
        latent: Literal["gamma", "beta", "dirichlet", "von_mises", "poisson"]
        | Callable[[int], Latent] = "gamma",
        latent_options: Options | None = None,
        kl: Literal["analytic", "monte_carlo"] = "analytic",
        estimator: Estimator | str | None = None,
        estimator_options: Options | None = None,
        **kwargs: Any,
    ) -> None:
        assert_choices(ContinuousVAE, kl=kl)
        layer = part_of("latent", latent, LATENTS)
        if latent_options and not isinstance(latent, str):
            raise ValueError(
                "latent_options are those of a word: give your layer's to it, as"
                " --model.latent.NAME"
            )
        if latent_options:
            options = checked(f"latent {latent}", layer, latent_options, "in_features")
            layer = partial(layer, **options)
        super().__init__(
            make_latent=layer,
            analytic_kl=kl == "analytic",
            estimator=chosen_estimator(estimator or _default_estimator(layer), estimator_options),
            extra_schedules={},
            **kwargs,
        )


def _default_estimator(latent: Callable[[int], Latent]) -> str:
    with torch.random.fork_rng(devices=[]):
        return "pathwise" if latent(1).prior().has_rsample else "rloo"
