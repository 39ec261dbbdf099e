"""The two halves of a model that a page runs: from latents to images, and from images to q(z|x).

Both are plain modules of tensors to tensors, of the model with hard latents; what they compute is the
model's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vae.distributions.chain import Chain
from vae.distributions.flow import Flow
from vae.evaluation.encoding import parameters_of, posterior_mean
from vae.models.vae import VAE
from vae.pages.networks.export import export_network
from vae.pages.networks.trace import NetworkError

__all__ = ["Decoder", "Encoder", "export_decoder", "export_encoder"]

EXTRAS = ("mean", "kl")

EXAMPLES = 32


class Decoder(nn.Module):
    """Latents ``(B, *event)`` to ``image``, the mean of p(x|z), ``(B, *image)``."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae.hard
        self.eval()

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        return {"image": self.vae.decode(z).mean}

    def example(self) -> Tensor:
        """Latents of the prior, ``(32, *event)``, the same every time."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            return self.vae.prior().sample(torch.Size([EXAMPLES]))  # type: ignore[no-any-return,no-untyped-call]


class Encoder(nn.Module):
    """Images ``x`` ``(B, *image)`` to the parameters of q(z|x), by their names, ``(B, *)`` each.

    Beside them may be ``mean``, E_q[z], and ``kl``, KL(q(z_d|x) || p(z_d)) of each variable in nats,
    where the family defines them.

    Arguments:
        vae: The model.
        extras: Which of the two are asked for.

    Raises:
        NetworkError: If q(z|x) is not known by its parameters.
    """

    def __init__(self, vae: VAE, extras: Sequence[str] = EXTRAS) -> None:
        super().__init__()
        self.vae = vae.hard
        self.eval()
        with torch.no_grad():
            q = self.vae.posterior(self.example())
        name = type(vae.latent).__name__
        if isinstance(q, Chain | Flow):
            raise NetworkError(
                f"q(z|x) of {name} is not known by its parameters: it has"
                f" {'other networks' if isinstance(q, Chain) else 'a flow'} beside them"
            )
        if not parameters_of(q):
            raise NetworkError(f"q(z|x) of {name} does not say its parameters")
        # asked now, not while it is traced
        self.has_mean = "mean" in extras and posterior_mean(q) is not None
        self.has_kl = "kl" in extras and self._says_kl(q)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        q = self.vae.posterior(x)
        found = dict(parameters_of(q))
        if self.has_mean:
            found["mean"] = q.mean
        if self.has_kl:
            found["kl"] = self.vae.kl_per_variable(q)
        return found

    def example(self) -> Tensor:
        """Images that the model makes, ``(32, *image)``, the same every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.vae.sample(EXAMPLES)

    def _says_kl(self, q: Any) -> bool:
        try:
            self.vae.kl_per_variable(q)
        except NotImplementedError:
            return False
        return True


def export_decoder(vae: VAE) -> dict[str, Any]:
    """:func:`~vae.pages.networks.export.export_network` of a model's :class:`Decoder`.

    Raises:
        NetworkError: If pages cannot run it.
    """
    decoder = Decoder(vae)
    return export_network(decoder, decoder.example(), called="the decoder")


def export_encoder(vae: VAE) -> dict[str, Any]:
    """:func:`~vae.pages.networks.export.export_network` of a model's :class:`Encoder`.

    A mean or a KL that pages cannot compute is left out.

    Raises:
        NetworkError: If pages cannot run it, or q(z|x) is not known by its parameters.
    """
    for extras in (EXTRAS, EXTRAS[:1], EXTRAS[1:], ()):
        encoder = Encoder(vae, extras)
        try:
            return export_network(encoder, encoder.example(), called="the encoder")
        except NetworkError:
            if not extras:
                raise
    raise AssertionError
