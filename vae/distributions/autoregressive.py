r"""Discrete variables one after the other: each given those before it.

.. math:: p(z) = \prod_{n=1}^{N} p(z_n \mid z_1, \dots, z_{n-1})

References:
    | MADE: Masked Autoencoder for Distribution Estimation (Germain et al., 2015)
    | (https://arxiv.org/abs/1502.03509).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint
from torch.types import _size

from vae.distributions.operations import configurations, support, with_logits

__all__ = ["Autoregressive"]


class Autoregressive(Distribution):
    """Creates the distribution of N discrete variables from the logits of each given the former.

    ``log_prob`` is one call of ``conditional``, and differentiable, in z too where the family's is:
    inside the simplex of one-hot variables it is what relaxations need. ``sample`` takes N calls.

    Arguments:
        conditional: Latents ``(*, N)`` or ``(*, N, C)`` to logits of the same shape, those of
            variable n from the variables before it.
        independent: An ``Independent`` of batch shape () with logits, which says what the variables
            are: binary or one-hot.
        batch_shape: How often the distribution is repeated.
    """

    arg_constraints: dict[str, Constraint] = {}

    def __init__(
        self,
        conditional: Callable[[Tensor], Tensor],
        independent: Independent,
        batch_shape: Size = Size(),
    ) -> None:
        self.conditional, self.independent = conditional, independent
        super().__init__(batch_shape, independent.event_shape, validate_args=False)

    @property
    def support(self) -> Constraint | None:
        return self.independent.support

    def expand(self, batch_shape: _size, _instance: Distribution | None = None) -> Autoregressive:
        return Autoregressive(self.conditional, self.independent, Size(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        logits = self.conditional(value)
        return with_logits(self.independent, logits).log_prob(value)  # type: ignore[no-any-return, no-untyped-call]

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:
        shape = self._extended_shape(Size(sample_shape))
        first = self.independent.sample()
        z = torch.zeros(shape, dtype=first.dtype, device=first.device)
        number = len(self.batch_shape) + len(sample_shape)
        for n in range(self.event_shape[0]):
            at = (slice(None),) * number + (n,)
            z[at] = with_logits(self.independent, self.conditional(z)).sample()[at]
        return z


@configurations.register
def _(q: Autoregressive) -> int:
    return configurations(q.independent)


@support.register
def _(q: Autoregressive, first: int = 0, last: int | None = None) -> Tensor:
    z = support(q.independent, first, last)  # (S, *event)
    event = len(q.event_shape)
    z = z.reshape(len(z), *[1] * len(q.batch_shape), *z.shape[z.dim() - event :])
    return z.expand(-1, *q.batch_shape, *q.event_shape)
