"""The bound of a model at a batch of images, with an estimator's gradient."""

from __future__ import annotations

from torch import Tensor
from torch.distributions import Distribution

from vae.estimators import Estimate, Estimator
from vae.models.vae import VAE
from vae.objectives import Model, Objective

__all__ = ["bound"]


def bound(
    model: Model,
    objective: Objective,
    estimator: Estimator,
    x: Tensor,
    q: Distribution | None = None,
) -> Estimate:
    """The objective at images, in nats, with shape (B,), and the losses beside it.

    These are the estimator's own loss, and that of the latent layer: the commitment of a codebook.

    Arguments:
        model: p(x|z), p(z) and q(z|x).
        objective: The bound.
        estimator: Gives its gradient in the parameters of q.
        x: Images ``(B, *image)``.
        q: The posterior, with batch shape (B,); by default ``model.posterior(x)``.

    Raises:
        NotImplementedError: If the estimator is not defined for the posterior or the objective.
    """
    q = model.posterior(x) if q is None else q
    estimate: Estimate = objective.estimate(model, x, q, estimator)
    if isinstance(model, VAE):
        return estimate._replace(auxiliary=estimate.auxiliary + model.auxiliary(q))
    return estimate
