r"""Gibbs sampling of discrete latents: one variable after the other, by its exact conditional.

Every value of a variable is decoded: C decodings for one variable of C values, and as many times that
as there are variables for one step. It is right, and slow: what faster transitions are compared with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae.distributions.one_hot import OneHotCategorical
from vae.evaluation.transitions import Density, Transition

__all__ = ["Gibbs"]


class Gibbs(Transition):
    """Creates the transition that draws each variable anew from its conditional, in turn.

    It is never refused: there is no width to adapt.

    References:
        | Stochastic relaxation, Gibbs distributions, and the Bayesian restoration of images (Geman &
        | Geman, 1984; https://doi.org/10.1109/TPAMI.1984.4767596), section VII.

    Arguments:
        values: All values of one variable, ``(C, *variable)``: ``torch.eye(C)`` of one-hot variables,
            0 and 1 of binary ones.
    """

    adapts = False

    def __init__(self, values: Tensor) -> None:
        self.values = values

    def step(self, z: Tensor, log_density: Density, width: Tensor) -> tuple[Tensor, Tensor]:
        values = self.values.to(z)
        variable = values.shape[1:]  # () or (C,)
        flat = z.reshape(*z.shape[:2], -1, *variable)  # (chains, B, D, *variable)
        for i in range(flat.shape[2]):
            log_joint = []
            for value in values:
                flat = flat.clone()
                flat[:, :, i] = value
                log_joint.append(log_density(flat.view(z.shape)))
            drawn = OneHotCategorical(logits=torch.stack(log_joint, -1), validate_args=False)
            flat[:, :, i] = values[drawn.sample().argmax(-1)]
        return flat.view(z.shape), torch.ones_like(log_joint[0])
