"""What the presets share: the parts of a VAEModule, chosen from words and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args, get_type_hints

from torch import nn

from vae.checked_arguments import checked
from vae.estimators import Estimator, accepts, constructor
from vae.models.latents.base import Latent
from vae.models.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood
from vae.models.networks import ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from vae.models.no_effect import refuse
from vae.models.prior import Prior
from vae.models.schedules import LinearWarmup, Schedule
from vae.nearest import meant
from vae.objectives import ELBO, IWAE, OBJECTIVES, Objective
from vae.training.module import VAEModule

__all__ = ["Options", "Preset", "assert_choices", "chosen_estimator", "part_of"]

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
}
ENCODERS: dict[str, Callable[..., nn.Module]] = {"mlp": MLPEncoder, "conv": ConvEncoder}
DECODERS: dict[str, Callable[..., nn.Module]] = {"mlp": MLPDecoder, "conv": ConvDecoder}

Options = dict[str, Any]


class Preset(VAEModule):
    """Chooses all parts from words and numbers, but for the latent layer.

    Arguments:
        make_latent: From the width of the features to the latent layer.
        analytic_kl: Whether the ELBO has its KL term in closed form; None if the layer has none.
        estimator: The paper name of an estimator (vae estimators), or the class path of one.
        estimator_options: Arguments of the estimator, if it is given by its paper name.
        extra_schedules: Schedules by the name of the buffer that they fill.
        image_shape: Channels, height and width; the command line takes them from the data.
        network: mlp, fully connected, or conv, convolutions of stride two.
        hidden: Widths of the encoder's hidden layers (channels, for conv); the decoder's are the
            reverse.
        activation: relu, leaky_relu, tanh, gelu, silu or gated.
        likelihood: The distribution of pixels: bernoulli, continuous_bernoulli, gaussian, or the
            class path of one.
        objective: The bound: elbo, iwae (importance-weighted), or the class path of one.
        num_samples: K, the samples of z for each image in the bound.
        beta: The weight of the KL term in the ELBO.
        beta_warmup: Steps in which beta rises from 0; 0 for none.
        prior: p(z): the class path of a prior; by default the latent layer's own.
        kwargs: What :class:`VAEModule` takes besides its parts.
    """

    def __init__(
        self,
        make_latent: Callable[[int], Latent],
        analytic_kl: bool | None,
        estimator: Estimator | Callable[[], Estimator],
        extra_schedules: Mapping[str, Schedule],
        image_shape: tuple[int, int, int] = (1, 28, 28),
        network: Literal["mlp", "conv"] = "mlp",
        hidden: Sequence[int] = (400,),
        activation: str = "relu",
        likelihood: Literal["bernoulli", "continuous_bernoulli", "gaussian"]
        | Callable[[nn.Module], Likelihood] = "bernoulli",
        objective: Literal["elbo", "iwae"] | Objective = "elbo",
        num_samples: int = 1,
        beta: float = 1.0,
        beta_warmup: int = 0,
        prior: Callable[[Latent], Prior] | None = None,
        **kwargs: Any,
    ) -> None:
        assert_choices(Preset, network=network)
        body = {"hidden": list(hidden), "activation": activation}
        schedules = dict(extra_schedules)
        bound = _bound_of(objective, num_samples, beta, beta_warmup, analytic_kl)
        if beta_warmup < 0:
            raise ValueError(f"beta_warmup must not be negative, got {beta_warmup}")
        if beta_warmup and beta:
            schedules["beta"] = LinearWarmup(beta_warmup, beta)
        super().__init__(
            image_shape=image_shape,
            encoder=partial(ENCODERS[network], **body),
            latent=make_latent,
            decoder=partial(DECODERS[network], **body),
            likelihood=part_of("likelihood", likelihood, LIKELIHOODS),
            objective=bound,
            estimator=estimator,
            prior=prior,
            schedules=schedules,
            **kwargs,
        )
        if beta == 0:
            latent = self.vae.latent
            learned = any("prior_" in name for name, _ in latent.named_parameters())
            given = {
                "beta_warmup": beta_warmup,
                "kl": analytic_kl is False,
                "learned_prior": learned,
                "prior": prior is not None,
            }
            if idle := [option for option, value in given.items() if value]:
                refuse(f"at beta 0 there is no KL term: leave out {', '.join(idle)}")


def assert_choices(constructor: type, **values: object) -> None:
    """Refuses words that are none of those that a constructor's arguments name.

    Raises:
        ValueError: If one is not.
    """
    types = get_type_hints(constructor.__init__)  # type: ignore[misc]
    for name, value in values.items():
        if value not in get_args(types[name]):
            choices = [str(choice) for choice in get_args(types[name])]
            near = meant(str(value), choices)
            raise ValueError(f"unknown {name} {value!r}{near}: choose from {', '.join(choices)}")


def part_of(name: str, value: Any, words: Mapping[str, Any]) -> Any:
    """The class that a word stands for; what is no word, such as one's own class, as it is."""
    if not isinstance(value, str):
        return value
    if value not in words:
        found = " (there is no such class)" if "." in value else meant(value, words)
        raise ValueError(f"unknown {name} {value!r}{found}: choose from {', '.join(words)}")
    return words[value]


def _bound_of(
    objective: Objective | str,
    num_samples: int,
    beta: float,
    beta_warmup: int,
    analytic_kl: bool | None,
) -> Objective:
    """The bound of a preset's options; refuses options that this bound does not have."""
    if not isinstance(objective, str):
        given = {"num_samples": num_samples != 1, "beta": beta != 1.0, "beta_warmup": beta_warmup}
        if idle := [name for name, value in given.items() if value]:
            raise ValueError(
                f"{', '.join(idle)}: give the options of {type(objective).__name__} to it, as"
                " --model.objective.NAME"
            )
        return objective
    if part_of("objective", objective, OBJECTIVES) is ELBO:
        return ELBO(num_samples, beta, bool(analytic_kl))
    if beta != 1.0 or beta_warmup:
        raise ValueError(
            f"objective {objective} has no beta: leave beta at 1 and beta_warmup at 0"
        )
    if analytic_kl is False:
        refuse(f"objective {objective} has log p(z) - log q(z) in it anyway: leave out kl")
    return IWAE(num_samples)


def chosen_estimator(
    estimator: Estimator | str, options: Options | None, **offered: Any
) -> Estimator | Callable[[], Estimator]:
    """An estimator of one's own as it is; of a paper name, a function that makes the estimator."""
    if not isinstance(estimator, str):
        if options:
            raise ValueError(
                "estimator_options are those of a paper name: give your estimator's to it, as"
                " --model.estimator.NAME"
            )
        return estimator
    make = constructor(estimator)
    accepted = {name: value for name, value in offered.items() if accepts(estimator, name)}
    return partial(make, **accepted, **checked(f"estimator {estimator}", make, options or {}))
