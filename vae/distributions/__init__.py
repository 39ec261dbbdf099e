"""Distributions over latent variables and pixels, and what estimators ask of any distribution.

Everything here is a real :class:`torch.distributions.Distribution`: shapes are ``sample_shape +
batch_shape + event_shape``, densities are in nats. Two families replace torch's because a gradient
has to pass where torch's does not let it (``one_hot``, ``concrete``); the others are torch's with
formulae that hold in single precision at every parameter. ``operations`` has what estimators ask of
any family: its parameters, its support, the same law without its gradient.
"""

from vae.distributions.concrete import ExpRelaxedOneHotCategorical, RelaxedOneHotCategorical
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.operations import (
    base_of,
    describe,
    detach,
    logits_of,
    parameters,
    rebuild,
    support,
    with_logits,
)

__all__ = [
    "ExpRelaxedOneHotCategorical",
    "OneHotCategorical",
    "RelaxedOneHotCategorical",
    "base_of",
    "describe",
    "detach",
    "logits_of",
    "parameters",
    "rebuild",
    "support",
    "with_logits",
]
