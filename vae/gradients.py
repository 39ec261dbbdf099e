r"""The gradient report: how far, and how noisily, each estimator points, on one model and the
same images.

For an estimator :math:`g` of the gradient :math:`\gamma` of the mean bound over a batch of images,

.. math::
    \mathrm{bias}^2 = \|\mathbb{E} g - \gamma\|^2, \quad
    \mathrm{variance} = \mathbb{E}\|g - \mathbb{E} g\|^2, \quad
    \mathrm{SNR} = \|\mathbb{E} g\| / \sqrt{\mathrm{variance}}, \quad
    \mathrm{DSNR} = \mathbb{E}\, \|g_\parallel\| / \|g_\perp\|

with :math:`g_\parallel` the part of :math:`g` along :math:`\gamma`. All of it once for the
parameters of q (logits, or location and scale, of each image), and once for those of the encoder.

Replicates are a batch dimension, not a loop: q's parameters are repeated N times, one backward
pass gives N gradients, and one vmapped vector-Jacobian product carries them to the encoder. They
stream through running moments, so that memory does not grow with their number.

References:
    | Tighter Variational Bounds are Not Necessarily Better (Rainforth et al., 2018): SNR, DSNR.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.func import functional_call, vjp, vmap

from vae.devices import asynchronous, double, synchronize
from vae.distributions import parameters, rebuild
from vae.estimators import Estimator
from vae.model import VAE
from vae.objectives import Objective

__all__ = [
    "Cost",
    "Moments",
    "Summary",
    "cost",
    "posterior_gradients",
    "squared_norm",
    "summarize",
    "warm_up",
]


GROUPS = 20
"""Replicates are told apart in so many groups."""


class Moments:
    """Running mean and sum of squared deviations of vectors, by Chan's parallel update.

    Beside them, what needs the truth replicate by replicate, the mean of DSNR; and the means of
    :data:`GROUPS` groups of replicates, from which the error of a bias follows.

    Arguments:
        truth: The direction for DSNR, with shape (P,), or None.
    """

    def __init__(self, truth: Tensor | None = None) -> None:
        self.count, self.truth = 0, truth
        self.sums = torch.zeros(())  # (GROUPS, P), once there is something to add
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)  # broadcast to (P,)
        self.dsnr = 0.0

    def add(self, g: Tensor) -> None:
        """Adds replicates ``(N, P)``."""
        g = double(g)
        n, mean = len(g), g.mean(0)
        if not self.count:
            self.sums = g.new_zeros(GROUPS, g.shape[1])
        self.sums.index_add_(0, (self.count + torch.arange(n, device=g.device)) % GROUPS, g)
        delta, total = mean - self.mean.to(g.device), self.count + n
        self.squares = (
            self.squares.to(g.device)
            + (g - mean).square().sum(0)
            + delta.square() * (self.count * n / total)
        )
        self.mean = self.mean.to(g.device) + delta * (n / total)
        if self.truth is not None:
            u = self.truth / self.truth.norm().clamp_min(1e-300)
            along = g @ u  # (N,)
            across = (g.square().sum(1) - along.square()).clamp_min(1e-300).sqrt()
            self.dsnr += ((along.abs() / across).mean().item() - self.dsnr) * (n / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """The variance of each coordinate, (P,)."""
        return self.squares / max(1, self.count - 1)

    @property
    def groups(self) -> Tensor:
        """The means of every GROUPS-th replicate, ``(min(GROUPS, count), P)``."""
        filled = torch.arange(GROUPS, device=self.sums.device)[: self.count]
        return self.sums[: self.count] / ((self.count - 1 - filled) // GROUPS + 1)[:, None]


class Summary(NamedTuple):
    """What the report says of one estimator, for one set of parameters.

    Attributes:
        bias_squared: ||E g - truth||^2, without what the noise of either adds to it in the mean.
        bias_error: One standard error of that, of the truth's noise too where it is an average.
        variance: Of one estimate, summed over coordinates.
        snr: ||E g|| / sqrt(variance); of the norms, since a mean of ratios is one of the coordinates
            that hardly vary.
        dsnr: Mean of the part along the truth over the part across.
        cosine: Of the mean gradient and the truth.
    """

    bias_squared: float
    bias_error: float
    variance: float
    snr: float
    dsnr: float
    cosine: float


def summarize(moments: Moments, truth: Moments) -> Summary:
    """The summary of an estimator's moments against the truth's: one vector if it is exact, else
    those of a long average."""
    variance = moments.variance
    live = bool((variance > 0).any())
    signal = (moments.mean.square().sum() - (variance / moments.count).sum()).clamp_min(0)
    snr = (signal / variance.sum()).sqrt().item() if live else float("inf")
    cosine = torch.nn.functional.cosine_similarity(moments.mean, truth.mean, dim=0)
    bias_squared, bias_error = squared_norm(
        moments.groups - (truth.mean if truth.count == 1 else truth.groups[: moments.count])
    )
    return Summary(
        bias_squared=bias_squared,
        bias_error=bias_error,
        variance=variance.sum().item(),
        snr=snr,
        dsnr=moments.dsnr if live else float("inf"),
        cosine=cosine.item(),
    )


def squared_norm(samples: Tensor) -> tuple[float, float]:
    r"""An unbiased estimate of :math:`\|\mathbb{E} a\|^2` from independent samples
    :math:`a_1, \ldots, a_G`, ``(G, P)`` with G >= 4, and its standard error, whatever the
    correlations of coordinates.

    The estimate is the U-statistic :math:`\overline{a_g \cdot a_h}` over pairs; its variance
    :math:`4 (G-2) \zeta_1 / G(G-1) + 2 \zeta_2 / G(G-1)` (Hoeffding, 1948), with
    :math:`\zeta_1 = \mathrm{Cov}(a_1 \cdot a_2, a_1 \cdot a_3)` and
    :math:`\zeta_2 = \mathrm{Var}(a_1 \cdot a_2)` from the means over distinct indices, neither of
    them below 0 (where there is no bias, this makes the error some tenths too large).
    """
    G = len(samples)
    products = samples @ samples.T
    products.fill_diagonal_(0)
    rows = products.sum(1)
    total, squares = rows.sum(), products.square().sum()
    pairs, triples = G * (G - 1), G * (G - 1) * (G - 2)
    shared = rows.square().sum() - squares  # sum over triples that share one index
    fourth = (total.square() - 4 * shared - 2 * squares) / (triples * (G - 3))
    zeta_1, zeta_2 = shared / triples - fourth, squares / pairs - fourth
    variance = (4 * (G - 2) * zeta_1.clamp_min(0) + 2 * zeta_2.clamp_min(0)) / pairs
    return (total / pairs).item(), variance.sqrt().item()


class _PosteriorParameters(nn.Module):
    """x to the parameters of q(z|x), as a tuple, for functional_call."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.encoder, self.latent = vae.encoder, vae.latent

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(_free(parameters(self.latent(self.encoder(x)))).values())


def _free(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what is no output of the encoder."""
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

    def f(z: Tensor, q: Distribution) -> Tensor:
        return objective.integrand(vae, images, z, q)

    bound = estimator(q, f, objective, context=images).bound - objective.penalty(vae, q)
    return list(leaves.values()), bound


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
    body = _PosteriorParameters(vae)
    # a prior with parameters is in the latent layer, but q does not depend on it
    theta = {n: p.detach() for n, p in body.named_parameters() if ".prior_" not in n}
    pull = vjp(lambda theta: functional_call(body, theta, (x,)), theta)[1] if encoder else None
    for start in range(0, replicates, chunk):
        n = min(chunk, replicates - start)
        leaves, bound = _replicated(vae, objective, estimator, x, n)
        grads = torch.autograd.grad(bound.sum() / len(x), leaves)
        cotangents = tuple(g.unflatten(0, (n, len(x))) for g in grads)  # (n, B, *shape)
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
    """Trains what an estimator learns (baselines, control variates, averages), the model standing
    still, so that it is not judged in a state in which nobody uses it."""
    own = list(estimator.parameters())
    if not own and not list(estimator.buffers()):
        return
    estimator.train()
    optimizer = torch.optim.Adam(own, lr=lr) if own else None
    for _ in range(steps):
        _, auxiliary = _auxiliary(vae, objective, estimator, batches())
        if optimizer is not None and isinstance(auxiliary, Tensor):
            optimizer.zero_grad()
            auxiliary.backward()
            optimizer.step()
    estimator.eval()


def _auxiliary(
    vae: VAE, objective: Objective, estimator: Estimator, x: Tensor
) -> tuple[Tensor, Tensor | float]:
    q = vae.posterior(x)

    def f(z: Tensor, q: Distribution) -> Tensor:
        return objective.integrand(vae, x, z, q)

    estimate = estimator(q, f, objective, context=x)
    return estimate.bound, estimate.auxiliary


class Cost(NamedTuple):
    """What one gradient of one batch costs: milliseconds (median; of one thread on a CPU, its
    processor time), megabytes kept for the backward pass (on a GPU: the peak; None on a CPU where
    torch.func, which cannot be watched, is at work), evaluations of the decoder an image."""

    milliseconds: float
    megabytes: float | None
    evaluations: float


def cost(
    vae: VAE, objective: Objective, estimator: Estimator, x: Tensor, repeats: int = 10
) -> Cost:
    """Measures forward and backward of the bound of a batch, to the gradients of every
    parameter."""
    device = torch.get_device_module(x.device)
    counts = asynchronous(x.device) and hasattr(device, "max_memory_allocated")
    rows, watched = 0, True
    saved: dict[
        int, int
    ] = {}  # bytes of each storage, but for the weights', which are there anyway
    weights = {p.untyped_storage().data_ptr() for p in vae.parameters()}
    times: list[float] = []
    # of one thread, its own time: what else the machine does is no cost of an estimator
    alone = x.device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    log_likelihood = vae.log_likelihood

    def counted(x: Tensor, z: Tensor) -> Tensor:
        nonlocal rows
        rows += z.shape[0] * z.shape[1]
        return log_likelihood(x, z)

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return t

    for turn in range(repeats + 1):
        first = turn == 0  # counts, and warms up
        if counts:
            device.reset_peak_memory_stats()
        synchronize(x.device)
        started = clock()
        if first:
            vae.log_likelihood = counted  # type: ignore[method-assign]
            try:
                try:
                    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
                        bound, _ = _auxiliary(vae, objective, estimator, x)
                except RuntimeError:  # torch.func forbids the hooks
                    watched, rows = False, 0
                    bound, _ = _auxiliary(vae, objective, estimator, x)
            finally:
                del vae.log_likelihood
        else:
            bound, _ = _auxiliary(vae, objective, estimator, x)
        bound.mean().backward()
        vae.zero_grad(set_to_none=True)
        synchronize(x.device)
        if not first:
            times.append(clock() - started)
    kept = device.max_memory_allocated() if counts else sum(saved.values())
    megabytes = kept / 2**20 if counts or watched else None
    return Cost(1e3 * sorted(times)[len(times) // 2], megabytes, rows / len(x))
