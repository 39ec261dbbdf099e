"""A model with what it is trained by, composed of parts.

Each part is given as a factory that takes what other parts decide: an encoder the shape of the
images, a latent layer the width of the encoder's features, a decoder the width of the code. So a
part of one's own fits in by its class, with options of its own::

    compose((1, 28, 28), latent=partial(OneHot, num_variables=30), estimator=RLOO(),
            objective=ELBO(num_samples=4))

Nothing here knows Lightning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vae.estimators import Estimate, Estimator, constructor
from vae.models.bound import bound
from vae.models.centering import CenteredEncoder, DecoderFromMean, assert_starts_at_mean
from vae.models.initialization import initialize
from vae.models.latents.base import Latent
from vae.models.latents.gaussian import DiagonalGaussian
from vae.models.likelihoods import Bernoulli, Likelihood
from vae.models.networks import MLPDecoder, MLPEncoder
from vae.models.no_effect import refuse
from vae.models.prior import Prior
from vae.models.probe import assert_parts_fit
from vae.models.schedules import Schedule, assert_scheduled
from vae.models.vae import VAE
from vae.objectives import ELBO, Objective

__all__ = ["Composition", "compose"]


class Composition(nn.Module):
    """A model, the bound that it is trained by, and the estimator of the bound's gradient.

    Arguments:
        vae: The model.
        objective: The bound.
        estimator: How the bound's gradient passes the random node.
        schedules: What fills buffers by the step, by the buffers' names.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        estimator: Estimator,
        schedules: Mapping[str, Schedule] | None = None,
    ) -> None:
        super().__init__()
        self.vae, self.objective, self.estimator = vae, objective, estimator
        self.schedules = dict(schedules or {})
        assert_scheduled(self, self.schedules)

    def bound(self, x: Tensor) -> Estimate:
        """The bound at images ``(B, *image)``, in nats, with the estimator's gradient."""
        return bound(self.vae, self.objective, self.estimator, x)


def compose(
    image_shape: tuple[int, int, int],
    encoder: Callable[[tuple[int, int, int]], nn.Module] = MLPEncoder,  # type: ignore[assignment]
    latent: Callable[[int], Latent] = DiagonalGaussian,
    decoder: Callable[[int, tuple[int, int, int], int], nn.Module] = MLPDecoder,  # type: ignore[assignment]
    likelihood: Callable[[nn.Module], Likelihood] = Bernoulli,
    objective: Objective | None = None,
    estimator: Estimator | Callable[[], Estimator] | str = "pathwise",
    prior: Callable[[Latent], Prior] | None = None,
    schedules: dict[str, Schedule] | None = None,
    center_inputs: bool = False,
    bias_at_mean: bool = False,
    initialization: Literal["torch", "glorot"] = "torch",
) -> Composition:
    """Composes a model of its parts.

    Args:
        image_shape: Channels, height and width; the command line takes them from the data.
        encoder: From images ``(B, *image_shape)`` to features ``(B, out_features)``: a class whose
            first argument is ``image_shape``, with an attribute ``out_features``.
        latent: The latent-distribution layer: a class whose first argument is the width of the
            features.
        decoder: From codes ``(*, D)`` to ``(*, channels, *image_shape)``: a class whose first
            arguments are D, ``image_shape``, and the number of parameters of a pixel.
        likelihood: The distribution of pixels: a class whose first argument is the decoder.
        objective: The bound; by default the ELBO.
        estimator: How the bound's gradient passes the random node: an estimator, or the paper name
            of one (vae estimators).
        prior: p(z): a class whose first argument is the latent layer; by default the layer's own
            prior.
        schedules: What fills buffers by the optimiser's step, by the buffers' names: temperature,
            beta.
        center_inputs: Whether the encoder reads images less the mean of the training images.
        bias_at_mean: Whether pixels start from the logit of their mean in the training images; for
            likelihoods whose first parameter is the logit of a pixel's mean.
        initialization: Of the weights of linear and convolutional layers of encoder, latent layer
            and decoder: torch's own, or glorot (Glorot & Bengio, 2010: uniform, biases 0).

    Raises:
        ValueError: If two parts do not fit together, or one would change nothing.
        NotImplementedError: If the estimator is not defined for the latents or the bound.
    """
    body = encoder(image_shape)
    if center_inputs:
        body = CenteredEncoder(body, image_shape)
    width = getattr(body, "out_features", None)
    if not isinstance(width, int):
        raise ValueError(
            f"{type(getattr(body, 'encoder', body)).__name__} has no out_features: an encoder must say how wide its features"
            " are (an integer attribute)"
        )
    layer = latent(width)
    channels = _channels(likelihood)
    if not isinstance(getattr(layer, "code_features", None), int):
        raise ValueError(
            f"{type(layer).__name__} has no code_features: a latent layer must say how wide the"
            " code is that the decoder reads (an integer attribute)"
        )
    if prior is not None and getattr(layer, "learned_prior", False):
        refuse(
            f"learned_prior of {type(layer).__name__}: another prior is given, which takes the place of"
            " the layer's own: leave out one of the two"
        )
    drawn = decoder(layer.code_features, image_shape, channels)
    if bias_at_mean:
        drawn = DecoderFromMean(drawn, image_shape, channels)
    top = likelihood(drawn)
    if bias_at_mean and not any(p.is_meta for p in top.parameters()):
        assert_starts_at_mean(top, image_shape)
    initialize(initialization, body, layer, top)
    vae = VAE(body, layer, top, None if prior is None else prior(layer), image_shape)
    chosen = ELBO() if objective is None else objective
    if chosen.for_q_only:
        name = type(chosen).__name__
        raise ValueError(
            f"{name} trains q only, and the model it would train to be improbable: use vae.Separate"
            f" with for_q vae.{name} and for_model vae.ELBO or vae.IWAE"
        )
    # made after the model, whose weights are so the same for every estimator
    made = constructor(estimator) if isinstance(estimator, str) else estimator
    found = made if isinstance(made, Estimator) else made()
    found.bind(vae)
    composition = Composition(vae, chosen, found, schedules)
    if not any(p.is_meta for p in composition.parameters()):  # else there is nothing to evaluate
        _try(composition, torch.zeros(2, *image_shape))
    if twin := found.twin(chosen):
        refuse(
            f"estimator {found.extra_name()} is {twin.name} here, bit for bit: {twin.reason}, or"
            f" use {twin.name}"
        )
    return composition


def _channels(likelihood: Any) -> int:
    """The parameters of a pixel that a likelihood's class asks for, before there is one."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return int(likelihood(nn.Identity()).channels)


def _try(composition: Composition, x: Tensor) -> None:
    """Evaluates the bound once, so that what does not fit together fails here."""
    composition.eval()  # moving averages stand still
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        assert_parts_fit(composition.vae, composition.objective, composition.estimator, x)
    composition.train()
