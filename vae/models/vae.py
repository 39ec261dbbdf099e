r"""The model: :math:`q(z|x)`, :math:`p(z)` and :math:`p(x|z)`.

It knows no estimator, no optimiser and no trainer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae.distributions.operations import describe
from vae.models.latents.base import Latent
from vae.models.likelihoods import Likelihood
from vae.models.log_likelihood import log_likelihood
from vae.models.prior import Prior

__all__ = ["VAE"]


class VAE(nn.Module):
    """Creates a variational autoencoder.

    Images are floating-point tensors ``(B, *image)`` with values in [0, 1].

    Arguments:
        encoder: Images ``(B, *image)`` to features ``(B, H)``.
        latent: Features to q(z|x), with a prior.
        likelihood: Latents to p(x|z), by a decoder.
        prior: The prior p(z); by default the latent layer's own.
        image_shape: Channels, height and width of the images; by default ``encoder.image_shape``.
            Without either, shapes are not checked before p(x|z) is.

    Raises:
        ValueError: If a prior is given for relaxed latents, or for stochastic layers.

    Example:
        >>> from vae import VAE, Bernoulli, DiagonalGaussian, MLPDecoder, MLPEncoder
        >>> _ = torch.manual_seed(0)
        >>> encoder = MLPEncoder((1, 28, 28), hidden=(200,))
        >>> latent = DiagonalGaussian(encoder.out_features, latent_dim=8)
        >>> decoder = MLPDecoder(latent.code_features, (1, 28, 28), hidden=(200,))
        >>> model = VAE(encoder, latent, Bernoulli(decoder))
        >>> x = torch.rand(5, 1, 28, 28).round()
        >>> model.posterior(x)
        Independent(Normal(loc: torch.Size([5, 8]), scale: torch.Size([5, 8])), 1)
        >>> model.sample(16).shape
        torch.Size([16, 1, 28, 28])
        >>> model.log_likelihood(x, num_samples=100)
        tensor([...])
        >>> model(x).shape  # reconstructions
        torch.Size([5, 1, 28, 28])
    """

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        likelihood: Likelihood,
        prior: Prior | None = None,
        image_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if prior is not None and latent.hard is not latent and not latent.shares_prior:
            raise ValueError(
                f"{type(latent).__name__} is trained with a relaxed prior and evaluated with a"
                f" discrete one, and {type(prior).__name__} can be only one of the two: use"
                f" {type(latent.hard).__name__}, or leave out the prior"
            )
        if prior is not None and not latent.takes_prior:
            raise ValueError(
                f"{type(latent).__name__} generates its lower layers from the upper ones:"
                f" {type(prior).__name__} would leave no use for them; leave out the prior"
            )
        self.encoder, self.latent, self.likelihood = encoder, latent, likelihood
        self.own_prior = prior
        shape = getattr(encoder, "image_shape", None) if image_shape is None else image_shape
        self.image_shape = None if shape is None else Size(shape)
        if prior is not None and self.image_shape is not None:
            prior.build(self.image_shape)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Reconstructions ``(B, *image)`` of images ``(B, *image)``, without a gradient.

        Each is the mean of p(x|z) at one sample z of the posterior, hard where latents are discrete.

        Raises:
            ValueError: If the images do not fit the model.
        """
        model = self.hard
        return model.decode(model.posterior(x).sample()).mean

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) of images ``(B, *image)``, with batch shape (B,).

        Raises:
            ValueError: If the images have another shape, or are not floating-point numbers.
        """
        self._check_images(x)
        return self.latent(self.encoder(x))

    def prior(self) -> Distribution:
        """p(z), with batch shape ()."""
        if self.own_prior is None:
            return self.latent.prior()
        return self.latent.embed(self.own_prior(self.posterior))

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of latents ``(*, *event)``, with batch shape ``(*)``.

        Raises:
            ValueError: If the latents have another event shape.
        """
        code = self.latent.code(z)
        if code.shape[-1:] != (self.latent.code_features,):
            event = ", ".join(map(str, self.prior().event_shape))
            raise ValueError(f"latents must have shape (*, {event}), got {tuple(z.shape)}")
        return self.likelihood(code)

    @torch.no_grad()
    def sample(self, num_samples: int = 16, draw: bool = False) -> Tensor:
        """New images, ``(num_samples, *image)``, without a gradient.

        Each is the mean of p(x|z) at latents drawn from the prior, hard where they are discrete.

        Arguments:
            num_samples: How many.
            draw: Whether to draw the pixels too, in place of their means.
        """
        model = self.hard
        p = model.decode(model.prior().sample(Size([num_samples])))
        return p.sample() if draw else p.mean

    def log_likelihood(
        self,
        x: Tensor,
        num_samples: int = 5000,
        chunk: int | None = None,
        seed: int | None = None,
        first: int = 0,
    ) -> Tensor:
        """The importance-weighted estimate of log p(x) in nats, with shape (B,).

        It is of the model with hard latents. See :mod:`vae.models.log_likelihood`.

        Arguments:
            x: Images ``(B, *image)``.
            num_samples: K, the samples of each image: in the mean the estimate is a lower bound,
                tighter with every sample.
            chunk: Decodings (images times samples) at a time; by default what suits the device.
            It changes the estimate by rounding only.
            seed: The seed of the samples; by default it is drawn from torch's global generator.
            first: The number of the first image, where they are a part of more: with the seed, it
                says what is drawn of each.

        Raises:
            ValueError: If the images do not fit the model, or a number is less than 1.
        """
        self._check_images(x)
        return log_likelihood(self.hard, x, num_samples, chunk, seed, first)

    def kl(self, q: Distribution) -> Tensor:
        """KL(q(z|x) || p(z)) in nats and in closed form, with shape (B,).

        Raises:
            NotImplementedError: If it has no closed form.
        """
        prior = None if self.own_prior is None else self.prior()
        try:
            return self.latent.kl(q) if prior is None else self.latent.kl(q, prior)
        except NotImplementedError as error:
            raise NotImplementedError(
                f"KL(q || p) of {describe(q)} and {describe(self.prior())} has no closed form: give the"
                " ELBO analytic_kl=False (--model.objective.analytic_kl false, or --model.kl"
                " monte_carlo), which estimates it by samples"
            ) from error

    def auxiliary(self, q: Distribution) -> Tensor | float:
        """What the latent layer minimises beside the negative bound, with shape ()."""
        return self.latent.auxiliary(q)

    def kl_per_variable(self, q: Distribution) -> Tensor:
        """KL(q(z_d|x) || p(z_d)) of each of D independent variables, in nats, with shape (B, D).

        Raises:
            NotImplementedError: If it has no closed form, or the variables are not independent.
        """
        prior = None if self.own_prior is None else self.prior()
        return self.latent.kl_per_variable(q, prior)

    @property
    def hard(self) -> VAE:
        """The model with exact latents in place of relaxed ones; itself, if there are none.

        It shares all parameters.
        """
        latent = self.latent.hard
        if latent is self.latent:
            return self
        return VAE(self.encoder, latent, self.likelihood, self.own_prior, self.image_shape)

    def _check_images(self, x: Tensor) -> None:
        if not x.is_floating_point():
            raise ValueError(f"images must be floats in [0, 1], not {x.dtype}: x.float() / 255?")
        shape = self.image_shape
        if shape is not None and x.shape[1:] != shape:
            sizes = ", ".join(map(str, shape))
            raise ValueError(f"images must have shape (B, {sizes}), got {tuple(x.shape)}")
        if x.dtype == torch.float64:  # numpy's
            dtype = next((p.dtype for p in self.encoder.parameters()), x.dtype)
            if dtype != x.dtype:
                raise ValueError(f"images are {x.dtype}, the model is {dtype}: x.to({dtype})")
