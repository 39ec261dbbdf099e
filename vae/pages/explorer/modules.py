"""Images to what a page needs of q(z|x), and a stochastic layer to the next, as plain networks."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.chain import Chain
from vae.distributions.kinds import is_discrete
from vae.distributions.operations import parameters
from vae.distributions.quantised import PointMass, codes_of
from vae.models.latents.quantised import Codes
from vae.models.vae import VAE
from vae.pages.explorer.laws import exported_law, first_of, layers_of
from vae.pages.explorer.nats import of_law
from vae.pages.networks import NetworkError, export_network

__all__ = ["exported_layers", "exported_posterior", "line"]

KL = Callable[[Distribution], Tensor]


class Posterior(nn.Module):
    """Images to the parameters of q(z|x), of stochastic layers of the lowest one.

    Beside them are its ``mean``, its standard deviation ``sd``, and ``kl``, as far as they are asked for.

    Arguments:
        vae: The model, with hard latents.
        extras: Which of these.
        kl: What gives KL(q(z|x) || p(z)) of q, if that is one of them.
    """

    def __init__(self, vae: VAE, extras: Collection[str], kl: KL | None) -> None:
        super().__init__()
        self.vae, self.extras, self.kl = vae, extras, kl

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features, latent = self.vae.encoder(x), self.vae.latent
        if isinstance(latent, Codes):
            encoded, codebook = (
                latent.trained.quantise(features, False).encoded,
                latent.trained.codebook,
            )
            found = {"nearness": encoded @ codebook.T - codebook.square().sum(-1) / 2}
            q: Distribution = PointMass(codes_of(encoded, codebook))
        else:
            q = latent(features)
            found = dict(_parameters(q))
        of = first_of(q)
        extra: dict[str, Callable[[], Any]] = {
            "mean": lambda: of.mean,
            "sd": lambda: of.variance.sqrt(),
            "kl": lambda: None if self.kl is None else self.kl(q),
        }
        return found | {name: extra[name]() for name in self.extras}


class Layer(nn.Module):
    """A stochastic layer ``(B, *event)`` to the parameters of the law of the next one that is drawn."""

    def __init__(self, law: nn.Module, extras: Collection[str]) -> None:
        super().__init__()
        self.law, self.extras = law, extras

    def forward(self, z: Tensor) -> dict[str, Tensor]:
        q = self.law(z)
        extra: dict[str, Callable[[], Any]] = {
            "mean": lambda: q.mean,
            "sd": lambda: q.variance.sqrt(),
        }
        return dict(_parameters(q)) | {name: extra[name]() for name in self.extras}


def exported_posterior(vae: VAE, x: Tensor) -> tuple[dict[str, Any], str]:
    """The network of q(z|x) as a page has it, and why it gives no KL, or nothing.

    Arguments:
        vae: The model, with hard latents.
        x: Images that the page's weights must be good for, ``(B, *image)``.

    Raises:
        NetworkError: If the page cannot run it.
    """
    q = vae.posterior(x)
    moments, (kl, why) = _moments(q), _kl(vae, q)
    wished = [[*moments, "kl"]] if kl is not None else []
    for extras in [*wished, moments, moments[:1], []]:
        try:
            network = Posterior(vae, extras, kl)
            nats = of_law(first_of(q))
            return export_network(network, x, called="the encoder", nats=nats), why
        except NetworkError as error:
            if not extras:
                raise
            why = why or line(error)
    raise AssertionError


def exported_layers(chain: Chain) -> list[dict[str, Any]]:
    """The laws of the layers of a chain given the one before, in the order of drawing.

    Raises:
        NotImplementedError: If the page's scripts cannot draw from one of them.
        NetworkError: If they cannot run it.
    """
    found = []
    for module, z in layers_of(chain):
        law = module(z)
        network = export_network(
            Layer(module, _moments(law)), z, called="a stochastic layer", nats=of_law(law)
        )
        found.append(exported_law(law, network))
    return found


def line(error: Exception) -> str:
    """What an error says, without the advice after its colon, for a page."""
    return str(error).partition(": ")[0]


def _parameters(q: Distribution) -> dict[str, Tensor]:
    return parameters(first_of(q))


def _moments(q: Distribution) -> list[str]:
    """Which of mean and sd a continuous family defines."""
    q = first_of(q)
    if is_discrete(q):
        return []
    found = []
    for name, other in (("mean", "mean"), ("variance", "sd")):
        try:
            getattr(q, name)
        except (NotImplementedError, AttributeError):
            continue
        found.append(other)
    return found


def _kl(vae: VAE, q: Distribution) -> tuple[KL | None, str]:
    """The closed form of the KL: that of each variable or, where they depend on one another, of all."""
    if not isinstance(q, PointMass):
        try:
            vae.kl_per_variable(q)
            return vae.kl_per_variable, ""
        except NotImplementedError:
            pass
    try:
        vae.kl(q)
    except NotImplementedError as error:
        return None, line(error)
    return vae.kl, ""
