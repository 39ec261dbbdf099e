"""The laws of stochastic layers as a page has them: networks of their parameters, and what it draws.

A page draws from families that it knows by name (``families.js``). Where a flow moves what is drawn, a
network ``place`` does so; one more, ``ratio``, gives log q(z|x) - log p(z) of what was drawn, of which
the mean over samples estimates the KL that has no closed form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Size, Tensor, nn
from torch.distributions import Distribution

from vae.distributions.chain import Chain
from vae.distributions.flow import Flow
from vae.distributions.operations import parameters, rebuild
from vae.pages.explorer.nats import of_ratio
from vae.pages.explorer.posteriors import family_of
from vae.pages.networks import export_network

__all__ = ["exported_law", "exported_ratio", "first_of", "layers_of", "log_ratio"]


class Place(nn.Module):
    """Draws of a flow's Gaussian, and its parameters, to the latents ``z`` that it moves them to.

    Arguments:
        law: Any distribution of that flow.
    """

    def __init__(self, law: Flow) -> None:
        super().__init__()
        self.law, self.names = law, ["drawn", *parameters(law)]

    def forward(self, drawn: Tensor, *values: Tensor) -> dict[str, Tensor]:
        given = dict(zip(self.names[1:], values, strict=True))
        return {"z": _placed(rebuild(self.law, **given), drawn)[0]}


class Ratio(nn.Module):
    """What is drawn of every layer, and the first one's parameters, to log q(z|x) - log p(z).

    Arguments:
        q: q(z|x) of any images.
        prior: p(z), with batch shape ().
    """

    def __init__(self, q: Distribution, prior: Distribution) -> None:
        super().__init__()
        self.q, self.prior = q, prior
        self.names = ["drawn", *parameters(first_of(q))]

    def forward(self, drawn: Tensor, *values: Tensor) -> dict[str, Tensor]:
        first = rebuild(first_of(self.q), **dict(zip(self.names[1:], values, strict=True)))
        q = Chain(first, self.q.links, self.q.reverse) if isinstance(self.q, Chain) else first
        return {"log_ratio": log_ratio(q, self.prior, drawn)}


def log_ratio(q: Distribution, prior: Distribution, drawn: Tensor) -> Tensor:
    """log q(z|x) - log p(z) in nats, with shape (B,), of what was drawn of each layer, ``(B, *event)``.

    Of a flow that is a value of its Gaussian, of another family z itself.
    """
    parts = q.split(drawn) if isinstance(q, Chain) else (drawn,)
    log_q, placed = torch.zeros(drawn.shape[0]), list[Tensor]()
    for n, part in enumerate(parts):
        law = q.links[n - 1](placed[-1]) if n > 0 and isinstance(q, Chain) else first_of(q)
        z, log_density = _placed(law, part)
        placed.append(z)
        log_q = log_q + log_density
    z = q.join(placed) if isinstance(q, Chain) else placed[0]
    return log_q - prior.log_prob(z)  # type: ignore[no-any-return, no-untyped-call]


def _placed(law: Distribution, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """The latents that a draw stands for, and their log-density."""
    if isinstance(law, Flow):
        return law.moved(drawn)
    return drawn, law.log_prob(drawn)  # type: ignore[no-untyped-call]


def first_of(q: Distribution) -> Distribution:
    """The layer that is drawn first; q itself, if it is one layer."""
    return q.first if isinstance(q, Chain) else q


def exported_law(law: Distribution, network: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A layer's law: the name of its family, what gives its parameters, and what moves its draws.

    Arguments:
        law: With batch shape (B,).
        network: The layer drawn before, or the image, to its parameters; None for a prior's own.

    Raises:
        NotImplementedError: If the page's scripts cannot draw from it.
        NetworkError: If they cannot run the flow.
    """
    place = None
    if isinstance(law, Flow):
        place = export_network(Place(law), law.loc, *parameters(law).values(), called="the flow")
    return {"family": family_of(law), "network": network, "place": place}


def layers_of(chain: Chain) -> list[tuple[nn.Module, Tensor]]:
    """The links of a chain, each with values of the layer before, in the order of drawing."""
    value = chain.sample(Size() if chain.batch_shape else Size([2]))
    drawn: Sequence[Tensor] = chain.split(value)
    drawn = drawn[::-1] if chain.reverse else drawn
    return [(link.module, z) for link, z in zip(chain.links, drawn[:-1], strict=True)]


def exported_ratio(q: Distribution, prior: Distribution) -> dict[str, Any]:
    """The network of log q(z|x) - log p(z).

    Raises:
        NetworkError: If pages cannot run it.
    """
    ratio = Ratio(q, prior)
    values = parameters(first_of(q)).values()
    drawn = _drawn(q)
    ratio(drawn, *values)  # a prior may remember what it has once computed
    return export_network(
        ratio, drawn, *values, called="the estimate of KL(q(z|x) || p(z))", nats=of_ratio
    )


def _drawn(q: Distribution) -> Tensor:
    """An example: a sample; where a flow moves what is drawn, a draw of its Gaussian."""
    links = q.links if isinstance(q, Chain) else []
    laws, drawn = [first_of(q)], [_draw(first_of(q))]
    for link in links:
        laws.append(link(_placed(laws[-1], drawn[-1])[0]))
        drawn.append(_draw(laws[-1]))
    return q.join(drawn) if isinstance(q, Chain) else drawn[0]


def _draw(law: Distribution) -> Tensor:
    if isinstance(law, Flow):
        return law.loc + law.scale * torch.randn_like(law.loc)
    return law.sample()  # type: ignore[no-any-return, no-untyped-call]
