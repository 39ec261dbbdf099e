r"""The model: :math:`q(z|x)`, :math:`p(z)` and :math:`p(x|z)`. It knows no estimator, no
optimiser and no trainer."""

from __future__ import annotations

from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae.distributions.operations import describe
from vae.models.latents.base import Latent
from vae.models.likelihoods import Likelihood
from vae.models.prior import Prior

__all__ = ["VAE"]


class VAE(nn.Module):
    """Creates a variational autoencoder.

    Arguments:
        encoder: A body, images ``(B, *image)`` to features ``(B, H)``.
        latent: The latent-distribution layer: q(z|x) and the prior.
        likelihood: The decoder's distribution over images.
        prior: The prior; by default the latent layer's own.

    Raises:
        ValueError: If a prior is given to relaxed latents.
    """

    def __init__(
        self,
        encoder: nn.Module,
        latent: Latent,
        likelihood: Likelihood,
        prior: Prior | None = None,
    ) -> None:
        super().__init__()
        if prior is not None and latent.hard is not latent:
            raise ValueError(
                f"{type(latent).__name__} is trained with a relaxed prior and evaluated with a"
                f" discrete one, and {type(prior).__name__} can be only one of the two: use"
                f" {type(latent.hard).__name__}, or leave out the prior"
            )
        self.encoder, self.latent, self.likelihood = encoder, latent, likelihood
        self.own_prior = prior

    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) of images ``(B, *image)``, with batch shape (B,)."""
        return self.latent(self.encoder(x))

    def prior(self) -> Distribution:
        """p(z), with batch shape ()."""
        return self.latent.prior() if self.own_prior is None else self.own_prior(self.posterior)

    def kl(self, q: Distribution) -> Tensor:
        """KL(q(z|x) || p(z)) in nats and in closed form, with shape (B,).

        Raises:
            NotImplementedError: If it has no closed form.
        """
        prior = self.prior()
        try:
            return self.latent.kl(q, prior)
        except NotImplementedError as error:
            raise NotImplementedError(
                f"KL(q || p) of {describe(q)} and {describe(prior)} has no closed form: estimate it"
                " by samples, with ELBO(analytic_kl=False) or --model.kl monte_carlo"
            ) from error

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z) of latents ``(*, *event)``, with batch shape ``(*)``."""
        return self.likelihood(self.latent.code(z))

    def sample(self, sample_shape: Size) -> Distribution:
        """p(x|z) at latents drawn from the prior; its mean is what people look at. Needs no
        data."""
        return self.decode(self.prior().sample(sample_shape))

    @property
    def hard(self) -> VAE:
        """The model with its exact discrete latents, on the same parameters; itself, unless the
        latents are relaxed."""
        latent = self.latent.hard
        return self if latent is self.latent else VAE(self.encoder, latent, self.likelihood)
