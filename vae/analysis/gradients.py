r"""The gradient report: each estimator's bias and noise, on one model and the same images.

For an estimator :math:`g` of the gradient :math:`\gamma` of the mean bound over a batch of images,

.. math::
    \mathrm{bias}^2 = \|\mathbb{E} g - \gamma\|^2, \quad
    \mathrm{variance} = \mathbb{E}\|g - \mathbb{E} g\|^2, \quad
    \mathrm{SNR} = \|\mathbb{E} g\| / \sqrt{\mathrm{variance}}, \quad
    \mathrm{DSNR} = \mathbb{E}\, \|g_\parallel\| / \|g_\perp\|

with :math:`g_\parallel` the part of :math:`g` along :math:`\gamma`. All of it once for the
parameters of q (logits, or location and scale, of each image), and once for those of the encoder.

Replicates are a batch dimension, not a loop: q's parameters are repeated N times, one backward
pass gives N gradients, and one vmapped vector-Jacobian product carries them to the encoder (of
stochastic layers, replicates follow one another: the networks between them serve all). They
stream through running moments, so that memory does not grow with their number.

References:
    | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018),
    | SNR and DSNR (https://arxiv.org/abs/1802.04537).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from vae.distributions.chain import Chain
from vae.distributions.operations import parameters, rebuild
from vae.estimators import Estimator
from vae.models.bound import bound
from vae.models.vae import VAE
from vae.objectives import Objective

__all__ = ["posterior_gradients", "warm_up"]


GROUPS = 20
"""Replicates are told apart in so many groups."""


class _PosteriorParameters(nn.Module):
    """x to the parameters of q(z|x), as a tuple, for functional_call."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.encoder, self.latent = vae.encoder, vae.latent

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(_free(parameters(self.latent(self.encoder(x)))).values())


def _of_prior(name: str) -> bool:
    """Whether a parameter of encoder and latent layer is the prior's; of layers, by their networks."""
    return ".prior_" in name or name.startswith("latent.down.")


def _free(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters of q that are outputs of the encoder."""
    return {name: value for name, value in values.items() if name != "temperature"}


def _replicated(
    vae: VAE, objective: Objective, estimator: Estimator, x: Tensor, replicates: int
) -> tuple[list[Tensor], Tensor]:
    """Leaves ``(N * B, *shape)``, the parameters of q repeated, and the bound there, (N * B,)."""
    with torch.no_grad():
        q = vae.posterior(x)
        values = parameters(q)
    values = {name: v.repeat(replicates, *[1] * (v.dim() - 1)) for name, v in values.items()}
    leaves = {name: v.requires_grad_() for name, v in _free(values).items()}
    q = rebuild(q, **values | leaves)
    images = x.repeat(replicates, *[1] * (x.dim() - 1))
    return list(leaves.values()), bound(vae, objective, estimator, images, q).bound


def _leaf_gradients(
    vae: VAE, objective: Objective, estimator: Estimator, x: Tensor, n: int
) -> tuple[Tensor, ...]:
    """N gradients of the mean bound in each parameter of q, ``(N, B, *shape)``.

    Of a chain's upper layers the parameters are those of networks, ``(N, *shape)``.
    """
    with torch.no_grad():
        q = vae.posterior(x)
    if not isinstance(q, Chain):
        leaves, value = _replicated(vae, objective, estimator, x, n)
        grads = torch.autograd.grad(value.sum() / len(x), leaves)
        return tuple(g.unflatten(0, (n, len(x))) for g in grads)
    found = []
    for _ in range(n):  # one network serves all replicates, and would add up their gradients
        own = {name: v.detach().requires_grad_() for name, v in parameters(q).items()}
        value = bound(vae, objective, estimator, x, rebuild(q, **own)).bound
        found.append(
            torch.autograd.grad(value.sum() / len(x), list(own.values()), materialize_grads=True)
        )
    return tuple(torch.stack(each) for each in zip(*found, strict=True))


def posterior_gradients(
    vae: VAE,
    objective: Objective,
    estimator: Estimator,
    x: Tensor,
    replicates: int,
    chunk: int,
    encoder: bool = True,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Streams replicates of the gradient of the mean bound over the images of a batch.

    Arguments:
        vae: The model, left as it is.
        objective: The bound; its penalty's gradient, which has no noise, is part of every
            estimate.
        estimator: The estimator.
        x: Images, with shape ``(B, *image)``.
        replicates: How many estimates in all.
        chunk: How many at a time.
        encoder: Whether to carry them to the encoder's parameters.

    Yields:
        Gradients in the parameters of q, ``(n, B * P)``, and in those of encoder and latent layer,
        ``(n, Q)`` or None.
    """
    if objective.pathwise_only:
        raise NotImplementedError(
            f"{type(objective).__name__} couples the images of a batch, and estimates are replicated"
            " as images here: its gradient has no report"
        )
    body = _PosteriorParameters(vae)
    # a prior with parameters is in the latent layer, but q does not depend on it
    theta = {n: p.detach() for n, p in body.named_parameters() if not _of_prior(n)}
    pull = vjp(lambda theta: functional_call(body, theta, (x,)), theta)[1] if encoder else None
    for start in range(0, replicates, chunk):
        n = min(chunk, replicates - start)
        cotangents = _leaf_gradients(vae, objective, estimator, x, n)
        carried = None
        if pull is not None:
            (by_name,) = vmap(pull)(cotangents)
            carried = torch.cat([g.flatten(1) for g in by_name.values()], 1)
        yield torch.cat([c.flatten(1) for c in cotangents], 1), carried


def warm_up(
    vae: VAE,
    objective: Objective,
    estimator: Estimator,
    batches: Callable[[], Tensor],
    steps: int,
    lr: float = 1e-2,
) -> None:
    """Trains what an estimator learns (baselines, control variates, averages), and not the model.

    So it is not judged in a state in which nobody uses it.
    """
    own = list(estimator.parameters())
    if not own and not list(estimator.buffers()):
        return
    estimator.train()
    optimizer = torch.optim.Adam(own, lr=lr) if own else None
    for _ in range(steps):
        auxiliary = bound(vae, objective, estimator, batches()).auxiliary
        if optimizer is not None and isinstance(auxiliary, Tensor):
            optimizer.zero_grad()
            auxiliary.backward()
            optimizer.step()
    estimator.eval()
