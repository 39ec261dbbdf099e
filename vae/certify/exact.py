"""Exact gradients, by enumeration or quadrature, and samples of an estimator's."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from vae.certify.nodes import MOST_TERMS, Nodes, nodes_of
from vae.certify.problem import MOST_COORDINATES, Problem, is_gaussian
from vae.distributions.chain import Chain
from vae.estimators import Enumerate, Estimator, Integrand
from vae.objectives import Average, Objective

__all__ = ["exact_gradient", "gradients", "with_model"]


def with_model(problem: Problem, n: int) -> tuple[Tensor, Integrand]:
    """A parameter of a model, (n,) zeros, and the integrand with it: f + theta * tanh(w . z).

    The value of the integrand is that of f.
    """
    theta = torch.zeros(n, dtype=torch.float64, requires_grad=True)

    def f(z: Tensor, q: Distribution) -> Tensor:
        flat = z.flatten(2).to(theta.dtype)
        return problem.f(z, q) + theta * torch.tanh(
            flat @ torch.linspace(-1, 2, flat.shape[2]).to(flat)
        )

    return theta, f


def gradients(
    estimator: Estimator, problem: Problem, objective: Objective, n: int, model: bool = False
) -> tuple[Tensor, Tensor]:
    """``n`` independent estimates of the gradient, (n, P), and of the bound, (n,).

    The batch dimension is the replicate dimension: one backward pass gives them all.

    Arguments:
        estimator: What is sampled; it is converted to the dtype of the problem.
        problem: An expectation.
        objective: K and R.
        n: Replicates.
        model: Whether the gradient has one more column: that of a parameter of the integrand, such
            as a decoder has.
    """
    leaves = [p.expand(n, *p.shape).clone().requires_grad_() for p in problem.parameters]
    q = problem.make_q(*leaves)
    context = torch.ones(n, 1, dtype=leaves[0].dtype)
    theta, f = with_model(problem, n)
    estimator.to(leaves[0].dtype)  # its own parameters
    bound = estimator(q, f, objective, context).bound  # (n,)
    grads = torch.autograd.grad(
        bound.sum(), [*leaves, theta] if model else leaves, materialize_grads=True
    )
    return torch.cat([g.reshape(n, -1) for g in grads], 1), bound.detach()


def exact_gradient(
    problem: Problem, objective: Objective, model: bool = False
) -> tuple[Tensor, Tensor]:
    """The exact gradient of the expectation, (P,), and its value, ().

    With ``model`` the gradient is (P + 1,), as in :func:`gradients`.

    By enumeration for a discrete family; by Gauss-Hermite quadrature for a Gaussian, over all K x
    D coordinates together (of an average: over the D of one sample).

    Raises:
        NotImplementedError: If the family is neither enumerable nor Gaussian, and has no nodes.
        ValueError: If there are too many coordinates to integrate over.
    """
    state = tuple(float(buffer) for buffer in objective.buffers() if buffer.numel() == 1)
    key = (problem.make_q, problem.f, problem.log_target)
    return _exact_gradient(key, tuple(problem.parameters), objective, state, model)


@lru_cache(maxsize=64)
def _exact_gradient(
    functions: tuple[Any, ...],
    parameters: tuple[Tensor, ...],
    objective: Objective,
    state: tuple[float, ...],
    model: bool,
) -> tuple[Tensor, Tensor]:
    """Kept by the identity of functions and tensors, and by the state of the bound."""
    make_q, f, log_target = functions
    problem = Problem(make_q, parameters, f, log_target)
    leaves = [p[None].clone().requires_grad_() for p in parameters]
    q = problem.make_q(*leaves)
    theta, f = with_model(problem, 1)
    if is_gaussian(q):
        value = _quadrature(q, f, objective)
    elif (nodes := nodes_of(q)) is not None:
        value = _weighted_sum(nodes, q, f, objective)
    else:
        value = Enumerate()(q, f, objective).bound.sum()
    grads = torch.autograd.grad(
        value, [*leaves, theta] if model else leaves, materialize_grads=True
    )
    return torch.cat([g.flatten() for g in grads]), value.detach()


def _weighted_sum(nodes: Nodes, q: Distribution, f: Integrand, objective: Objective) -> Tensor:
    """Over all K-tuples of nodes."""
    K = 1 if isinstance(objective, Average) else objective.num_samples
    if len(nodes.z) ** K > MOST_TERMS:
        raise ValueError(f"{len(nodes.z)} nodes for {K} samples are more than {MOST_TERMS} terms")
    z = nodes.z[:, None]  # (S, 1, *event)
    fz, log_q = f(z, q)[:, 0], q.log_prob(z)[:, 0] + nodes.log_weights  # (S,)
    tuples = torch.cartesian_prod(*[torch.arange(len(z))] * K).view(-1, K).T  # (K, S^K)
    return (log_q[tuples].sum(0).exp() * objective.reduce(fz[tuples])).sum()


@cache
def _gauss_hermite(n: int) -> tuple[Tensor, Tensor]:
    """Nodes and log-weights, (n,) each, of an expectation under a standard Gaussian.

    The nodes are the eigenvalues of the Jacobi matrix of the Hermite polynomials.

    References:
        | Calculation of Gauss Quadrature Rules (Golub & Welsch, 1969)
        | (https://doi.org/10.1090/S0025-5718-69-99647-1).
    """
    jacobi = torch.diag(torch.arange(1, n, dtype=torch.float64).sqrt(), 1)
    nodes, vectors = torch.linalg.eigh(jacobi + jacobi.T)
    return nodes, vectors[0].square().log()


def _quadrature(q: Distribution, f: Integrand, objective: Objective) -> Tensor:
    K, D = (1 if isinstance(objective, Average) else objective.num_samples), q.event_shape.numel()
    if K * D > MOST_COORDINATES:
        raise ValueError(
            f"quadrature over {K} x {D} coordinates is too large: at most {MOST_COORDINATES}"
        )
    n = {1: 120, 2: 120, 3: 64, 4: 28}[K * D]
    nodes, log_w = _gauss_hermite(n)
    grid = torch.cartesian_prod(*[torch.arange(n)] * (K * D)).view(-1, K, D)  # (S, K, D)
    every = q.expand(torch.Size([len(grid)]))
    fz = f(_transport(every, nodes[grid].transpose(0, 1)), every)  # (K, S)
    return (log_w[grid].sum((1, 2)).exp() * objective.reduce(fz)).sum()


def _transport(q: Distribution, noise: Tensor) -> Tensor:
    """The value of a Gaussian ``q`` at standard normal noise ``(K, S, D)``."""
    if isinstance(q, Chain):
        parts = iter(noise.split(q.sizes, -1))
        return q.follow(lambda law: _transport(law, next(parts)), _transport(q.first, next(parts)))
    assert isinstance(q, Independent)
    return q.base_dist.loc + q.base_dist.scale * noise  # type: ignore[no-any-return]
