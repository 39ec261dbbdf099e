r"""Two or more stochastic layers: each is inferred from the one below, and generates it.

.. math::
    q(z|x) = q(z_1|x) \prod_{l>1} q(z_l | z_{l-1}), \qquad
    p(z) = p(z_L) \prod_{l<L} p(z_l | z_{l+1}), \qquad p(x|z) = p(x|z_1)

Both are a :class:`~vae.distributions.chain.Chain`, whose networks are this layer's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, cast

from torch import Tensor, nn
from torch.distributions import Distribution

from vae.distributions.chain import Chain, Link
from vae.distributions.kinds import kind_of
from vae.models.latents.base import Latent
from vae.models.networks import ACTIVATIONS
from vae.models.no_effect import refuse

__all__ = ["Hierarchy"]


class _Given(nn.Module):
    """The law of a layer given another: a network of the other's code, and the layer itself."""

    def __init__(self, code: Callable[[Tensor], Tensor], body: nn.Module, layer: Latent) -> None:
        super().__init__()
        self.code, self.body, self.layer = code, body, layer
        prior = layer.prior()
        self.size, self.has_rsample = _size(layer), prior.has_rsample

    def forward(self, z: Tensor) -> Distribution:
        return self.layer(self.body(self.code(z)))  # type: ignore[no-any-return]


def _links(given: nn.ModuleList) -> list[Link]:
    laws = [cast(_Given, law) for law in given]
    return [Link(law, law.size, law.has_rsample) for law in laws]


class Hierarchy(Latent):
    r"""Creates stochastic layers, one above the other; the decoder reads the lowest.

    A sample is all layers side by side, from the lowest to the top. They are of one kind: all real,
    all binary, or all one-hot with as many categories. The KL has no closed form: the ELBO needs
    ``analytic_kl=False``.

    The authors' two-layer model has 100 and 50 Gaussian variables, an encoder of 200-200 tanh units,
    100-100 between the layers, and the reverse in the decoder. Belief networks have layers of 200
    binary variables, and nothing between them (linear) or two layers of 200 tanh units.

    References:
        | Importance Weighted Autoencoders (Burda et al., 2016), section 5 and appendix C
        | (https://arxiv.org/abs/1509.00519).
        | Neural Variational Inference and Learning in Belief Networks (Mnih & Gregor, 2014)
        | (https://arxiv.org/abs/1402.0030).

    Arguments:
        in_features: The width H of the features.
        layers: The layers, from the lowest to the top, two or more: each a class like
            ``vae.Binary``, whose first argument is the width of what it reads.
        hidden: Widths of the hidden layers between two stochastic ones, from the lower to the upper;
            the generative networks reverse them. One list for all, or one for each pair.
        activation: Of the hidden layers: relu, leaky_relu, tanh, gelu or silu.

    Raises:
        ValueError: If the layers do not go together, or a number is too small.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from vae import DiagonalGaussian, Hierarchy
        >>> two = [partial(DiagonalGaussian, latent_dim=10), partial(DiagonalGaussian, latent_dim=5)]
        >>> latent = Hierarchy(200, two, hidden=[100, 100])
        >>> q = latent(torch.randn(8, 200))
        >>> q.batch_shape, q.event_shape, latent.code(q.sample()).shape
        (torch.Size([8]), torch.Size([15]), torch.Size([8, 10]))
    """

    takes_prior = False

    def __init__(
        self,
        in_features: int,
        layers: Sequence[Callable[[int], Latent]],
        hidden: Sequence[int] | Sequence[Sequence[int]] = (),
        activation: str = "tanh",
    ) -> None:
        super().__init__()
        if len(layers) < 2:
            raise ValueError(f"a hierarchy has two layers or more, got {len(layers)}")
        widths = _of_each_pair(hidden, len(layers) - 1)
        if activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"unknown activation {activation!r}: choose from {known}")
        if not any(widths) and activation != "tanh":
            refuse("there are no hidden layers to have an activation: leave it out")
        self.first = layers[0](in_features)
        everyone, up, down = [self.first], [], []
        for make, between in zip(layers[1:], widths, strict=True):
            below = everyone[-1]
            read = [below.code_features, *between]
            everyone.append(make(read[-1]))
            up.append(_Given(below.code, _body(read, activation), everyone[-1]))
        _assert_alike(everyone)
        drawn = zip(layers[:-1], everyone[1:], widths, strict=True)
        for make, above, between in reversed(list(drawn)):
            read = [above.code_features, *reversed(between)]
            down.append(_Given(above.code, _body(read, activation), make(read[-1])))
        self.up, self.down = nn.ModuleList(up), nn.ModuleList(down)
        self.sizes = tuple(map(_size, everyone))
        self.variable_dims = len(self.first.prior().event_shape) - 1
        self.code_features = self.first.code_features
        self.rsample_error = max(layer.rsample_error for layer in everyone)

    def forward(self, features: Tensor) -> Distribution:
        return Chain(self.first(features), _links(self.up))

    def prior(self) -> Distribution:
        top = cast(_Given, self.up[-1]).layer.prior()
        return Chain(top, _links(self.down), reverse=True)

    def code(self, z: Tensor) -> Tensor:
        return self.first.code(z.split(self.sizes, dim=-1 - self.variable_dims)[0])


def _of_each_pair(hidden: Sequence[int] | Sequence[Sequence[int]], pairs: int) -> list[list[int]]:
    """The widths between each two layers."""
    given = [width if isinstance(width, int) else list(width) for width in hidden]
    lists = [width for width in given if isinstance(width, list)]
    if lists and len(lists) != len(given):
        raise ValueError(f"hidden is one list of widths, or one for each pair: got {list(hidden)}")
    widths = lists or [[width for width in given if isinstance(width, int)]] * pairs
    if len(widths) != pairs:
        raise ValueError(f"hidden has {len(widths)} lists of widths, for {pairs} pairs of layers")
    if any(width < 1 for each in widths for width in each):
        raise ValueError(f"hidden widths must be at least 1, got {list(hidden)}")
    return widths


def _body(widths: Sequence[int], activation: str) -> nn.Sequential:
    body = nn.Sequential()
    for before, after in pairwise(widths):
        body.extend([nn.Linear(before, after), ACTIVATIONS[activation]()])
    return body


def _size(layer: Latent) -> int:
    shape = layer.prior().event_shape
    if not shape:
        raise ValueError(f"{type(layer).__name__} is no layer of several variables")
    return shape[0]


def _assert_alike(layers: Sequence[Latent]) -> None:
    """Refuses layers that make no one distribution, or of which something would not be used."""
    first, *others = layers
    for layer in layers:
        if layer.hard is not layer:
            raise ValueError(
                f"{type(layer).__name__} is no layer of a hierarchy: use"
                f" {type(layer.hard).__name__}, and a relaxation as estimator (vae.PerLayer)"
            )
    for layer in others:
        ours, theirs = (_described(each) for each in (first, layer))
        if ours != theirs:
            raise ValueError(
                f"all layers of a hierarchy are of one kind: {type(first).__name__} has {ours},"
                f" {type(layer).__name__} {theirs}"
            )
    if idle := [layer for layer in layers[:-1] if getattr(layer, "learned_prior", False)]:
        refuse(
            f"learned_prior of a {type(idle[0]).__name__} below the top: its prior is a network of"
            " the layer above; leave it out"
        )


def _described(layer: Latent) -> str:
    """What a layer's variables are, in words."""
    prior = layer.prior()
    support: Any = prior.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    each = f" of {prior.event_shape[1]} entries" if prior.event_shape[1:] else ""
    return f"{kind_of(prior)} variables{each} ({support})".replace("()", "")
