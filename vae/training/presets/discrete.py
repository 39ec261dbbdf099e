"""The discrete VAE: one-hot or Bernoulli latents."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Literal

import torch

from vae.estimators import Estimator, accepts
from vae.models.latents import Binary, OneHot, RelaxedOneHot
from vae.models.no_effect import refuse
from vae.models.schedules import ExponentialDecay
from vae.training.presets.base import Options, Preset, assert_choices, chosen_estimator

__all__ = ["DiscreteVAE"]

ANNEALING = ("temperature_min", "anneal_rate", "anneal_every")
"""The options of a schedule of the temperature."""


class DiscreteVAE(Preset):
    """A VAE with discrete latent variables, one-hot or binary.

    By default they are one-hot, and trained by the Gumbel-softmax with an annealed temperature.

    Every evaluated number is one of the discrete model: validation, test and the scripts draw
    hard samples.

    Arguments:
        latent: one_hot (``num_variables`` of ``num_categories``) or binary (``num_variables``
            Bernoulli variables).
        num_variables: The number of latent variables.
        num_categories: The number of categories of each one-hot variable; by default 10.
        learned_prior: Whether the prior's logits are trained.
        kl: The KL term of the ELBO: ``categorical``, the closed form of the discrete variables;
            ``monte_carlo``, its estimate inside the integrand; ``relaxed``, the density ratio of
            Concrete posterior and prior (Maddison et al., 2017), which makes the relaxation the
            model.
        temperature: The relaxation temperature at the start; by default 1, also for rebar and
            relax, which train it.
        temperature_min: Where annealing stops; by default 0.5.
        anneal_rate: r in max(temperature_min, temperature * exp(-r * step)) (Jang et al., 2017);
            0 for a fixed temperature; by default 3e-5.
        anneal_every: Steps between updates of the temperature; by default 500.
        prior_temperature: The temperature of the relaxed prior, for ``kl=relaxed``; by default 0.5.
        estimator: The paper name of an estimator (vae estimators), or the class path of one; by
            default gumbel_softmax, or pathwise for ``kl=relaxed``.
        estimator_options: Arguments of the estimator, if it is given by its paper name.
        kwargs: As those of :class:`Preset`, from ``image_shape`` on.
    """

    def __init__(
        self,
        latent: Literal["one_hot", "binary"] = "one_hot",
        num_variables: int = 20,
        num_categories: int | None = None,
        learned_prior: bool = False,
        kl: Literal["categorical", "monte_carlo", "relaxed"] = "categorical",
        temperature: float | None = None,
        temperature_min: float | None = None,
        anneal_rate: float | None = None,
        anneal_every: int | None = None,
        prior_temperature: float | None = None,
        estimator: Estimator | str | None = None,
        estimator_options: Options | None = None,
        **kwargs: Any,
    ) -> None:
        assert_choices(DiscreteVAE, latent=latent, kl=kl)
        relaxed = kl == "relaxed"
        if relaxed and latent != "one_hot":
            raise ValueError(
                f"kl=relaxed is defined for latent=one_hot, not for latent={latent}:"
                " use kl=categorical"
            )
        if num_categories is not None and latent == "binary":
            raise ValueError("latent=binary has no num_categories: leave it out")
        if prior_temperature is not None and not relaxed:
            raise ValueError("prior_temperature is the relaxed prior's: set kl=relaxed")
        name = estimator or ("pathwise" if relaxed else "gumbel_softmax")
        shown = name if isinstance(name, str) else name.extra_name()
        relaxes = relaxed or (isinstance(name, str) and accepts(name, "temperature"))
        given = {
            "temperature": temperature,
            "temperature_min": temperature_min,
            "anneal_rate": anneal_rate,
            "anneal_every": anneal_every,
        }
        if not relaxes and (unused := [o for o, value in given.items() if value is not None]):
            own = "no temperature" if isinstance(name, str) else "a temperature of its own, if any"
            raise ValueError(f"estimator {shown} has {own}: leave out {', '.join(unused)}")
        decay = _decay(temperature, temperature_min, anneal_rate, anneal_every)
        if "temperature" in (estimator_options or {}):
            raise ValueError("give the temperature as the model's, not as the estimator's option")
        sizes: dict[str, Any] = {"num_variables": num_variables, "learned_prior": learned_prior}
        if latent == "one_hot":
            sizes["num_categories"] = 10 if num_categories is None else num_categories
        if relaxed:
            layer: Any = partial(
                RelaxedOneHot,
                temperature=decay.start,
                prior_temperature=0.5 if prior_temperature is None else prior_temperature,
                **sizes,
            )
        else:
            layer = partial(Binary if latent == "binary" else OneHot, **sizes)
        made = chosen_estimator(name, estimator_options, temperature=decay.start)
        trained = relaxes and not relaxed and _trains_its_temperature(made)
        if trained and (idle := [option for option in ANNEALING if given[option] is not None]):
            refuse(f"estimator {shown} trains its temperature: leave out {', '.join(idle)}")
        anneals = relaxes and not trained and decay.rate > 0
        super().__init__(
            make_latent=layer,
            analytic_kl=None if relaxed else kl == "categorical",
            estimator=made,
            extra_schedules={"temperature": decay} if anneals else {},
            **kwargs,
        )


def _trains_its_temperature(make: Any) -> bool:
    """Whether the temperature is a parameter, and no buffer that a schedule could fill."""
    with torch.random.fork_rng(devices=[]):
        estimator = make if isinstance(make, Estimator) else make()
    return not any(
        name.rpartition(".")[2] == "temperature" for name, _ in estimator.named_buffers()
    )


def _decay(
    temperature: float | None,
    minimum: float | None,
    rate: float | None,
    every: int | None,
) -> ExponentialDecay:
    """The temperature's schedule, with its defaults (Jang et al., 2017).

    Options that would have no effect are refused.
    """
    values = zip(ANNEALING, (minimum, rate, every), strict=True)
    given = [option for option, value in values if value is not None]
    start = 1.0 if temperature is None else temperature
    end = min(0.5, start) if minimum is None else minimum
    rate, every = 3e-5 if rate is None else rate, 500 if every is None else every
    if not 0 < end <= start < math.inf:
        raise ValueError(
            f"temperatures must satisfy 0 < temperature_min <= temperature, got {end} and {start}"
        )
    if not 0 <= rate < math.inf or every < 1:
        raise ValueError(f"anneal_rate must be >= 0 and anneal_every >= 1, got {rate} and {every}")
    if rate == 0 and (idle := [o for o in given if o != "anneal_rate"]):
        refuse(f"anneal_rate 0 keeps the temperature fixed: leave out {', '.join(idle)}")
    if rate and end == start and (idle := [o for o in given if o != "temperature_min"]):
        refuse(
            f"the temperature starts at its minimum, {start:g}: set a lower temperature_min, or"
            f" leave out {', '.join(idle)}"
        )
    return ExponentialDecay(start, end, rate, every)
