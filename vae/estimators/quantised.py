r"""What stands in for the gradient of a quantiser, whose own is zero.

:math:`z = v_{c(e)}`, the codebook vector nearest to e, does not change when e does, until it jumps.
So its derivative is zero almost everywhere, and no estimator here is unbiased for anything: each is
a choice of the matrix :math:`\partial z / \partial e` that carries the decoder's gradient back.

====================  ==========================================  =============================
estimator             matrix
====================  ==========================================  =============================
StraightThroughCodes  1                                           same gradient at all of a cell
RotationTrick         the rotation and scaling that take e to z   keeps its angle with the code
====================  ==========================================  =============================

q is a point mass: more samples than one are the same sample again.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae.distributions.operations import base_of
from vae.distributions.quantised import Quantised
from vae.estimators.base import Estimate, Estimator, Integrand
from vae.objectives import Average, Objective

__all__ = ["RotationTrick", "StraightThroughCodes"]


class _OfCodes(Estimator):
    families = (Quantised,)
    objectives = (Average,)
    needs_gradient = True
    bias = "q is a point mass, whose exact gradient is zero: nothing to certify against"

    @abstractmethod
    def path(self, q: Quantised) -> Tensor:
        """The codebook vectors ``(B, N, d)``, with a gradient in ``q.encoded``."""

    def estimate(
        self, q: Distribution, f: Integrand, objective: Objective, context: Tensor | None
    ) -> Estimate:
        base = base_of(q)
        assert isinstance(base, Quantised)
        z = self.path(base).expand(objective.num_samples, *base.encoded.shape)
        return Estimate(objective.reduce(f(z, q)))


class StraightThroughCodes(_OfCodes):
    """Creates the straight-through estimator of quantised codes: the decoder's gradient, as it is.

    References:
        | Neural Discrete Representation Learning (van den Oord et al., 2017), section 3.2
        | (https://arxiv.org/abs/1711.00937).
        | Finite Scalar Quantization: VQ-VAE Made Simple (Mentzer et al., 2023), section 3.1
        | (https://arxiv.org/abs/2309.15505).
    """

    paper = "van den Oord et al. 2017; Mentzer et al. 2023"

    def path(self, q: Quantised) -> Tensor:
        return q.vectors.detach() + (q.encoded - q.encoded.detach())


class RotationTrick(_OfCodes):
    r"""Creates the rotation trick: the decoder's gradient, turned back as e is turned to its code.

    .. math:: z = \mathrm{sg}(\lambda R)\, e, \qquad R = 1 - 2 r r^\top + 2 \hat z \hat e^\top, \quad
        r = \frac{\hat e + \hat z}{\lVert \hat e + \hat z \rVert}, \quad
        \lambda = \frac{\lVert z \rVert}{\lVert e \rVert}

    References:
        | Restructuring Vector Quantization with the Rotation Trick (Fifty et al., 2024), equation 4
        | (https://arxiv.org/abs/2410.06424).
    """

    paper = "Fifty et al. 2024"

    def assert_fits(self, q: Distribution) -> None:
        base = base_of(q)
        if isinstance(base, Quantised) and bool((base.codebook == 0).all(-1).any()):
            raise ValueError(
                "RotationTrick has no gradient at a code of norm 0, and the codebook has one: use"
                " straight_through_codes"
            )

    def path(self, q: Quantised) -> Tensor:
        e, z = q.encoded, q.vectors.detach()
        fixed, least = e.detach(), torch.finfo(e.dtype).tiny

        def length(v: Tensor) -> Tensor:
            return v.norm(dim=-1, keepdim=True).clamp_min(least)

        ratio = z.norm(dim=-1, keepdim=True) / length(fixed)
        e_hat, z_hat = fixed / length(fixed), z / length(z)
        r = (e_hat + z_hat) / length(e_hat + z_hat)

        def along(v: Tensor) -> Tensor:
            return (e * v).sum(-1, keepdim=True)

        turned = ratio * (e - 2 * r * along(r) + 2 * z_hat * along(e_hat))
        return z + (turned - turned.detach())  # z itself, where the product rounds
