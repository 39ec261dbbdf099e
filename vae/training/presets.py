"""The modules that the command line trains. They build model, objective and estimator from plain
values, so that a checkpoint holds all it takes to rebuild them, and differ only in the latent
layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from vae.estimators import Estimator, build, options_of
from vae.models.effects import refuse
from vae.models.latents.base import Latent
from vae.models.latents.binary import Binary
from vae.models.latents.family_names import FAMILIES
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.latents.one_hot import OneHot
from vae.models.latents.relaxed_one_hot import RelaxedOneHot
from vae.models.likelihoods import LIKELIHOODS
from vae.models.networks import NETWORKS
from vae.models.schedules import Anneal
from vae.models.vae import VAE
from vae.objectives import ELBO, OBJECTIVES, Objective
from vae.options import assert_choices, assert_options
from vae.training.module import VAEModule

__all__ = ["ContinuousVAE", "DiscreteVAE", "GaussianVAE", "ImageVAE"]


ANNEALING = ("temperature_min", "anneal_rate", "anneal_every")
"""The options of a schedule of the temperature."""

HOW = ["compile", "capture"]
"""What is no property of the model, but of how a machine trains it; a checkpoint does not keep
it."""


class ImageVAE(VAEModule):
    """What the two modules share: everything but the latent layer, from plain values."""

    def __init__(
        self,
        make_latent: Callable[[int], Latent],
        make_estimator: Callable[[Latent], Estimator],
        kl: str,
        image_shape: tuple[int, int, int] = (1, 28, 28),
        network: Literal["mlp", "conv"] = "mlp",
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
        likelihood: Literal["bernoulli", "continuous_bernoulli", "gaussian"] = "bernoulli",
        objective: Literal["elbo", "iwae"] = "elbo",
        num_samples: int = 1,
        beta: float = 1.0,
        beta_warmup: int = 0,
        lr: float = 1e-3,
        estimator_lr: float | None = None,
        test_samples: int = 100,
        gradient_clip_norm: float | None = None,
        compile: bool = False,
        capture: bool = False,
    ) -> None:
        assert_choices(ImageVAE, network=network, likelihood=likelihood, objective=objective)
        encoder_class, decoder_class = NETWORKS[network]
        encoder = encoder_class(image_shape, hidden, activation)
        latent = make_latent(encoder.out_features)
        likelihood_class = LIKELIHOODS[likelihood]
        decoder = decoder_class(
            latent.code_features, image_shape, likelihood_class.channels, hidden, activation
        )
        if OBJECTIVES[objective] is ELBO:
            bound: Objective = ELBO(num_samples, beta, kl in ("analytic", "categorical"))
        elif beta != 1.0 or beta_warmup:
            raise ValueError(
                f"objective {objective} has no beta: leave beta at 1 and beta_warmup at 0"
            )
        else:
            bound = OBJECTIVES[objective](num_samples)
            if kl == "monte_carlo":
                refuse(f"objective {objective} has log p(z) - log q(z) in it anyway: leave out kl")
        vae = VAE(encoder, latent, likelihood_class(decoder))
        super().__init__(
            vae,
            bound,
            make_estimator(latent),
            lr,
            estimator_lr,
            test_samples,
            gradient_clip_norm,
            compile,
            capture,
        )
        if beta_warmup < 0:
            raise ValueError(f"beta_warmup must not be negative, got {beta_warmup}")
        if beta == 0:
            learned = any("prior_" in name for name, _ in latent.named_parameters())
            given = {
                "beta_warmup": beta_warmup,
                "kl": kl == "monte_carlo",
                "learned_prior": learned,
            }
            if idle := [option for option, value in given.items() if value]:
                refuse(f"at beta 0 there is no KL term: leave out {', '.join(idle)}")
        if beta_warmup:
            self.schedules.append(Anneal("beta", Anneal.linear(beta, beta_warmup)))
        if not any(p.is_meta for p in self.parameters()):  # there is nothing to evaluate
            self._try(torch.zeros(2, *image_shape))
        if twin := self.estimator.twin(bound):
            refuse(
                f"estimator {self.estimator.extra_name()} is {twin.name} here, bit for bit:"
                f" {twin.reason}, or use {twin.name}"
            )

    def _try(self, x: Tensor) -> None:
        """Evaluates the bound once, so that what does not fit together fails here; gives lazy
        baselines their shape."""
        self.eval()  # moving averages stand still
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            self.bound(x)
        self.train()


class GaussianVAE(ImageVAE):
    """A VAE with a diagonal Gaussian posterior and a standard Gaussian prior, by default trained
    by the reparameterization trick.

    Arguments:
        latent_dim: The number of latent variables.
        learned_prior: Whether the prior's location and scale are trained.
        kl: Of the ELBO: closed form, or a Monte-Carlo estimate inside the integrand, which stl needs.
        estimator: A name in ``vae.estimators.ESTIMATORS``.
        estimator_options: Arguments of its constructor.
        image_shape: Channels, height and width; the command line takes them from the data.
        network: Bodies of encoder and decoder.
        hidden: Widths of the encoder's hidden layers (channels, for conv); the decoder's are the
            reverse.
        activation: relu, leaky_relu, tanh, gelu or silu.
        likelihood: The distribution of pixels.
        objective: elbo, or iwae (the importance-weighted bound).
        num_samples: K, the samples of the bound an image.
        beta: The weight of the KL term in the ELBO.
        beta_warmup: Steps in which beta rises from 0; 0 for none.
        lr: Adam's step size.
        estimator_lr: That of the estimator's own parameters; by default lr.
        test_samples: K of test/log_likelihood_K.
        gradient_clip_norm: The norm to which the model's gradient is clipped; by default it is not.
        compile: Whether the bound is compiled (torch.compile) in training.
        capture: Whether a training step is one CUDA graph; needs a GPU.
    """

    def __init__(
        self,
        latent_dim: int = 20,
        learned_prior: bool = False,
        kl: Literal["analytic", "monte_carlo"] = "analytic",
        estimator: str = "pathwise",
        estimator_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        assert_choices(GaussianVAE, kl=kl)
        super().__init__(
            make_latent=lambda width: DiagonalGaussian(width, latent_dim, learned_prior),
            make_estimator=lambda latent: build(estimator, estimator_options, prior=latent.prior),
            kl=kl,
            **kwargs,
        )
        self.save_hyperparameters(ignore=HOW)


class ContinuousVAE(ImageVAE):
    """A VAE with Gamma, Beta, Dirichlet, von Mises or Poisson latents, by default trained by
    implicit reparameterization where the family has it, and by RLOO where it has not.

    Arguments:
        latent: A name in ``vae.models.latents.FAMILIES``.
        latent_options: Arguments of the layer: ``num_variables``, ``learned_prior``, the prior's.
        kl: Of the ELBO: closed form, or a Monte-Carlo estimate inside the integrand, which stl needs.
        estimator: A name in ``vae.estimators.ESTIMATORS``; by default pathwise or rloo.
        estimator_options: Arguments of its constructor.
        kwargs: As those of :class:`GaussianVAE`, from ``image_shape`` on.
    """

    def __init__(
        self,
        latent: str = "gamma",
        latent_options: dict[str, Any] | None = None,
        kl: Literal["analytic", "monte_carlo"] = "analytic",
        estimator: str | None = None,
        estimator_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        assert_choices(ContinuousVAE, kl=kl)
        if latent not in FAMILIES:
            raise ValueError(f"unknown latent {latent!r}: choose from {', '.join(FAMILIES)}")
        options = latent_options or {}
        assert_options(f"latent {latent}", FAMILIES[latent], options, "in_features")

        def make_estimator(layer: Latent) -> Estimator:
            name = "pathwise" if layer.prior().has_rsample else "rloo"
            return build(estimator or name, estimator_options, prior=layer.prior)

        super().__init__(
            make_latent=lambda width: FAMILIES[latent](width, **options),
            make_estimator=make_estimator,
            kl=kl,
            **kwargs,
        )
        self.save_hyperparameters(ignore=HOW)


class DiscreteVAE(ImageVAE):
    """A VAE with discrete latent variables, by default one-hot and trained by the Gumbel-softmax
    with an annealed temperature.

    Every evaluated number is one of the discrete model: validation, test and the scripts draw
    hard samples.

    Arguments:
        latent: one_hot (``num_variables`` of ``num_categories``) or binary (``num_variables``
            Bernoulli variables).
        num_variables: The number of latent variables.
        num_categories: The number of categories of each one-hot variable.
        learned_prior: Whether the prior's logits are trained.
        kl: Of the ELBO: ``categorical``, the closed form of the discrete variables;
            ``monte_carlo``, its estimate inside the integrand; ``relaxed``, the density ratio of
            Concrete posterior and prior (Maddison et al., 2017), which makes the relaxation the
            model.
        temperature: The relaxation temperature at the start: 1, also for rebar and relax, which train
            it, and whose own default is 0.5.
        temperature_min: Where annealing stops.
        anneal_rate: r in max(temperature_min, temperature * exp(-r * step)) (Jang et al., 2017);
            0 for a fixed temperature.
        anneal_every: Steps between updates of the temperature.
        prior_temperature: That of the relaxed prior, for ``kl=relaxed``.
        estimator: A name in ``vae.estimators.ESTIMATORS``; by default gumbel_softmax, or pathwise
            for ``kl=relaxed``.
        estimator_options: Arguments of its constructor.
        image_shape: Channels, height and width; the command line takes them from the data.
        network: Bodies of encoder and decoder.
        hidden: Widths of the encoder's hidden layers (channels, for conv); the decoder's are the
            reverse.
        activation: relu, leaky_relu, tanh, gelu or silu.
        likelihood: The distribution of pixels.
        objective: elbo, or iwae (the importance-weighted bound).
        num_samples: K, the samples of the bound an image.
        beta: The weight of the KL term in the ELBO.
        beta_warmup: Steps in which beta rises from 0; 0 for none.
        lr: Adam's step size.
        estimator_lr: That of the estimator's own parameters; by default lr.
        test_samples: K of test/log_likelihood_K.
        gradient_clip_norm: The norm to which the model's gradient is clipped; by default it is not.
        compile: Whether the bound is compiled (torch.compile) in training.
        capture: Whether a training step is one CUDA graph; needs a GPU.
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
        estimator: str | None = None,
        estimator_options: dict[str, Any] | None = None,
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
        relaxes = relaxed or "temperature" in options_of(name)
        given = {
            "temperature": temperature,
            "temperature_min": temperature_min,
            "anneal_rate": anneal_rate,
            "anneal_every": anneal_every,
        }
        if not relaxes and (unused := [o for o, value in given.items() if value is not None]):
            raise ValueError(f"estimator {name} has no temperature: leave out {', '.join(unused)}")
        start, end, rate, every = _annealing(
            temperature, temperature_min, anneal_rate, anneal_every
        )
        if "temperature" in (estimator_options or {}):
            raise ValueError("give the temperature as the model's, not as the estimator's option")
        categories = 10 if num_categories is None else num_categories

        def make_latent(width: int) -> Latent:
            if relaxed:
                return RelaxedOneHot(
                    width,
                    num_variables,
                    categories,
                    learned_prior,
                    start,
                    0.5 if prior_temperature is None else prior_temperature,
                )
            if latent == "binary":
                return Binary(width, num_variables, learned_prior)
            return OneHot(width, num_variables, categories, learned_prior)

        super().__init__(
            make_latent=make_latent,
            make_estimator=lambda latent: build(
                name, estimator_options, temperature=start, prior=latent.prior
            ),
            kl=kl,
            **kwargs,
        )
        if any(name.endswith(".temperature") for name, _ in self.named_buffers()):
            if rate:
                schedule = Anneal.exponential(start, end, rate)
                self.schedules.append(Anneal("temperature", schedule, every))
        elif idle := [option for option in ANNEALING if given[option] is not None]:
            refuse(f"estimator {name} trains its temperature: leave out {', '.join(idle)}")
        self.save_hyperparameters(ignore=HOW)


def _annealing(
    temperature: float | None,
    minimum: float | None,
    rate: float | None,
    every: int | None,
) -> tuple[float, float, float, int]:
    """The schedule's numbers, defaults filled in (Jang et al., 2017); refuses what has no
    effect."""
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
    return start, end, rate, every
