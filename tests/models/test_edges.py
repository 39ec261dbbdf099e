"""Every density, divergence, entropy and moment that a latent layer or a likelihood can reach, in
single precision at the edges of its parameters: value and gradient against mpmath.

No statistics. A result may differ by ``RELATIVE`` of the truth plus ``ABSOLUTE`` nats (what single
precision leaves of a sum of terms of order one); a truth that single precision cannot hold must
become an infinity, or a number as good as one, of its sign; NaN never. Gradients are those in the layer's
own parameters: logits, log-scales, log-concentrations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import mpmath as mp
import pytest
import torch
from every_part import FAMILIES, LATENTS
from torch import Tensor, nn
from torch import distributions as D
from torch.distributions import kl_divergence

from vae.certify.named import example
from vae.distributions.bernoulli import Bernoulli
from vae.distributions.concrete import ExpRelaxedOneHotCategorical
from vae.distributions.continuous_bernoulli import ContinuousBernoulli
from vae.distributions.gamma import Beta, Dirichlet, Gamma, Poisson
from vae.distributions.normal import Normal
from vae.distributions.one_hot import OneHotCategorical
from vae.distributions.von_mises import VonMises
from vae.estimators import ESTIMATORS, Enumerate, Estimate
from vae.models.likelihoods.bernoulli import _BernoulliPixels
from vae.objectives import ELBO, IWAE

RELATIVE, ABSOLUTE = 1e-4, 5e-6
GREATEST, SMALLEST = torch.finfo(torch.float32).max, torch.finfo(torch.float32).tiny
DIGITS = 120

Truth = Callable[..., mp.mpf]


class Edge(NamedTuple):
    """One quantity: of a function of the parameters, in torch and in mpmath, and where to look.

    ``logs`` says which parameters the layer holds the logarithms of."""

    ours: Callable[..., Tensor]
    truth: Truth
    grid: Sequence[tuple[float, ...]]
    logs: (
        str  # one letter a parameter: l for a logarithm, - for the thing itself, . for a constant
    )


# What is true
# ----------------------------------------------------------------------------------------


def sigmoid(l):
    return 1 / (1 + mp.exp(-l))


def softplus(l):
    return mp.log1p(mp.exp(l)) if l < 0 else l + mp.log1p(mp.exp(-l))


def entropy_of(*p):
    return -sum(x * mp.log(x) for x in p)


def bernoulli_kl(a, b):
    return sigmoid(a) * (softplus(-b) - softplus(-a)) + sigmoid(-a) * (softplus(b) - softplus(a))


def log_normalizer(l):  # of exp(l x) on [0, 1]
    return mp.log(mp.expm1(l) / l) if l != 0 else mp.mpf(0)


def cb_mean(l):
    return 1 / (1 - mp.exp(-l)) - 1 / l if l != 0 else mp.mpf(1) / 2


def cb_variance(l):
    return 1 / l**2 - 1 / (4 * mp.sinh(l / 2) ** 2) if l != 0 else mp.mpf(1) / 12


def near_zero(f):
    """At a logit of 0, where the formula divides by it: next to it."""
    return lambda l, *x: f(l if abs(l) > mp.mpf("1e-14") else l + mp.mpf("1e-20"), *x)


def normal_kl(m, s, n, t):
    return mp.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - mp.mpf(1) / 2


def gamma_kl(a, b, c, d):
    return (
        (a - c) * mp.psi(0, a) - mp.loggamma(a) + mp.loggamma(c)
        + c * mp.log(b / d) + a * (d - b) / b
    )  # fmt: skip


def log_beta(a):
    return sum(map(mp.loggamma, a)) - mp.loggamma(sum(a))


def dirichlet_kl(a, c):
    A = sum(a)
    return (
        log_beta(c)
        - log_beta(a)
        + sum((x - y) * (mp.psi(0, x) - mp.psi(0, A)) for x, y in zip(a, c, strict=True))
    )


def dirichlet_entropy(a):
    A = sum(a)
    return log_beta(a) + (A - len(a)) * mp.psi(0, A) - sum((x - 1) * mp.psi(0, x) for x in a)


def dirichlet_log_prob(a, z):  # of the point of the simplex that z, rounded, stands for
    total = sum(z)
    return sum((x - 1) * mp.log(y / total) for x, y in zip(a, z, strict=True)) - log_beta(a)


def log_i0(k):
    return (
        mp.log(mp.besseli(0, k))
        if k < 200
        else k + mp.log(mp.hyp2f0(0.5, 0.5, 1 / (2 * k))) - mp.log(2 * mp.pi * k) / 2
    )


def resultant(k):
    if k < 200:
        return mp.besseli(1, k) / mp.besseli(0, k)
    return mp.hyp2f0(-0.5, 1.5, 1 / (2 * k)) / mp.hyp2f0(0.5, 0.5, 1 / (2 * k))


def von_mises_log_prob(m, k, z):
    return k * mp.cos(z - m) - mp.log(2 * mp.pi) - log_i0(k)


def von_mises_kl(m, k, n, j):
    return log_i0(j) - log_i0(k) + resultant(k) * (k - j * mp.cos(m - n))


def log_softmax(l):
    top = max(l)
    return [x - top - mp.log(sum(mp.exp(y - top) for y in l)) for x in l]


def one_hot_kl(*l):
    p, q = log_softmax(l[: len(l) // 2]), log_softmax(l[len(l) // 2 :])
    return sum(mp.exp(a) * (a - b) for a, b in zip(p, q, strict=True))


def concrete_log_prob(t, *x):
    l, v = x[: len(x) // 2], x[len(x) // 2 :]
    score = [a - t * b for a, b in zip(l, v, strict=True)]
    return sum(log_softmax(score)) + mp.loggamma(len(l)) + (len(l) - 1) * mp.log(t)


# Where to look
# ----------------------------------------------------------------------------------------

LOGITS = [0.0, 1e-3, 0.5, 1.0, 5.0, 9.0, 15.0, 17.0, 20.0, 30.0, 60.0, 100.0]
LOGITS += [-l for l in LOGITS[1:]]
FEW_LOGITS = [0.0, 0.3, 17.0, 100.0, -1.0, -20.0, -100.0]
SCALES = [math.exp(s) for s in (-60, -30, -1, 0, 1e-3, 30, 60)]
CONCENTRATIONS = [1e-3, 0.1, 1.0, 7.9, 8.1, 30.0, 1e3, 1e6]
KAPPAS = [1e-6, 1e-3, 1.0, 19.0, 21.0, 1e3, 2e3, 5e3, 1e6]


def near(*x: float) -> list[tuple[float, ...]]:
    """Parameters that nearly agree, at every size: (a, (1 + e) a)."""
    return [(a, a * (1 + e)) for a in x for e in (1e-3, -0.1)]


def independent(family):
    return lambda *p: family(*p, validate_args=False)


def stacked(family, n):
    """A family whose parameter is a vector, of n numbers."""
    return lambda *p: family(torch.stack(p[:n], -1), validate_args=False)


def logits(family):
    return lambda *l: family(logits=torch.stack(l, -1), validate_args=False)


bernoulli = lambda l: Bernoulli(logits=l, validate_args=False)
pixels = lambda l: _BernoulliPixels(logits=l, validate_args=False)
continuous = independent(ContinuousBernoulli)
normal, gamma, beta, poisson = map(independent, (Normal, Gamma, Beta, Poisson))
von_mises, dirichlet, one_hot = (
    independent(VonMises),
    stacked(Dirichlet, 3),
    logits(OneHotCategorical),
)


def concrete(t, *l):
    return ExpRelaxedOneHotCategorical(t, logits=torch.stack(l, -1), validate_args=False)


BINARY = [(l, x) for l in LOGITS for x in (0.0, 1.0)]
GREY = [(l, x) for l in LOGITS for x in (0.0, 0.3, 1.0)]
SHAPES = [(a, b) for a in CONCENTRATIONS for b in (1e-3, 1.0, 1e6)]
TWO_GAMMAS = [
    *((a, b, c, d) for (a, b), (c, d) in product(SHAPES[::3] + SHAPES[2::5], SHAPES[1::4])),
    *((a, 2.0, c, 2.0) for a, c in near(*CONCENTRATIONS)),
    *((a, 3.0, 1.01 * a, 3.1) for a in CONCENTRATIONS),
]
TWO_BETAS = [
    *(
        (a, b, c, d)
        for (a, b), (c, d) in product(
            SHAPES[::2], [(1.0, 1.0), (1e-3, 5.0), (1e6, 0.5), (1e3, 2e3)]
        )
    ),
    *((a, 1.1 * a, c, 1.2 * c) for a, c in near(*CONCENTRATIONS)),
]
TWO_DIRICHLETS = [
    *((*a, *c) for a, c in product(
        [(1e-3, 1.0, 1e6), (1e6, 1e6, 1e6), (0.1, 0.1, 0.1), (1e6, 1e-3, 1e-3), (5.0, 1e3, 30.0)],
        [(1.0, 1.0, 1.0), (1e-3, 1e-3, 1e-3), (1e6, 3e6, 1.5e6), (1e5, 1e-3, 2e-3)],
    )),
    *((a, 2 * a, 3 * a, c, 2 * c, 3.1 * c) for a, c in near(*CONCENTRATIONS)),
]  # fmt: skip
POINTS = [(1.0, 1.0), (0.5, 0.5), (7.0, 2.0), (1e3, 3e3), (1e6, 1e6), (1e6, 2.0), (1e-3, 1.0)]
COUNTS = [(r, n) for r in (1e-3, 0.5, 30.0, 1e3, 1e6) for n in (0.0, 1.0, 9.0, 1e3, 1.001e6)]
ANGLES = [(m, k, z) for m, z in ((0.3, 1.0), (-3.0, 3.1), (2.0, 2.0)) for k in KAPPAS]
ANGLES += [(0.0, k, 1.5 / math.sqrt(k)) for k in KAPPAS[2:]]
TWO_ANGLES = [
    *((0.5, k, m, j) for k in KAPPAS for j in (1e-6, 1.0, 1e3, 1e6) for m in (0.0, 0.5)),
    *((0.5, k, 0.5, j) for k, j in near(*KAPPAS)),
]
CATEGORIES = [(0.0, 0.0, 0.0), (100.0, -100.0, 0.0), (-100.0, -100.0, -99.5), (1e6, 1e6 + 1, 0.0)]
CATEGORIES += [(0.3, -17.0, 20.0), (-1e30, 0.0, 1.0)]
TEMPERATURES = [0.05, 0.5, 1.0, 20.0]
LOG_POINTS = [(-1.0, -0.6, -2.0), (0.0, -400.0, -4000.0), (-1e-3, -7.0, -30.0)]

KL = kl_divergence
EDGES: dict[str, Edge] = {
    "Bernoulli log_prob": Edge(lambda l, x: bernoulli(l).log_prob(x), lambda l, x: x * l - softplus(l), BINARY, "-."),
    "Bernoulli entropy": Edge(lambda l: bernoulli(l).entropy(), lambda l: softplus(l) - l * sigmoid(l), [(l,) for l in LOGITS], "-"),
    "Bernoulli mean": Edge(lambda l: bernoulli(l).mean, sigmoid, [(l,) for l in LOGITS], "-"),
    "Bernoulli variance": Edge(lambda l: bernoulli(l).variance, lambda l: sigmoid(l) * sigmoid(-l), [(l,) for l in LOGITS], "-"),
    "Bernoulli KL": Edge(lambda a, b: KL(bernoulli(a), bernoulli(b)), bernoulli_kl, [*product(LOGITS[::2], LOGITS[1::2]), *near(*LOGITS)], "--"),
    "Bernoulli pixels log_prob": Edge(lambda l, x: pixels(l).log_prob(x), lambda l, x: x * l - softplus(l), GREY, "-."),
    "continuous Bernoulli log_prob": Edge(lambda l, x: continuous(l).log_prob(x), near_zero(lambda l, x: x * l - log_normalizer(l)), GREY, "--"),
    "continuous Bernoulli mean": Edge(lambda l: continuous(l).mean, near_zero(cb_mean), [(l,) for l in LOGITS], "-"),
    "continuous Bernoulli variance": Edge(lambda l: continuous(l).variance, near_zero(cb_variance), [(l,) for l in LOGITS], "-"),
    "continuous Bernoulli entropy": Edge(lambda l: continuous(l).entropy(), near_zero(lambda l: log_normalizer(l) - l * cb_mean(l)), [(l,) for l in LOGITS], "-"),
    "Normal log_prob": Edge(lambda m, s, z: normal(m, s).log_prob(z), lambda m, s, z: -(((z - m) / s) ** 2) / 2 - mp.log(s) - mp.log(2 * mp.pi) / 2, [(0.0, s, c * s) for s in SCALES for c in (0.0, 1.0, -3.0)], "-l-"),
    "Normal entropy": Edge(lambda s: normal(0 * s, s).entropy(), lambda s: mp.log(s) + mp.log(2 * mp.pi * mp.e) / 2, [(s,) for s in SCALES], "l"),
    "Normal KL": Edge(lambda m, s, n, t: KL(normal(m, s), normal(n, t)), normal_kl, [(m, s, 0.5, t) for s, t in [*product(SCALES, SCALES)] for m in (0.5, 0.0)], "-l-l"),
    "Gamma log_prob": Edge(lambda a, b, z: gamma(a, b).log_prob(z), lambda a, b, z: a * mp.log(b) + (a - 1) * mp.log(z) - b * z - mp.loggamma(a), [(a, b, a / b * c) for a, b in SHAPES for c in (1.01, 1.001, 0.9, 30.0, 1e-20)], "ll-"),
    "Gamma entropy": Edge(lambda a, b: gamma(a, b).entropy(), lambda a, b: a - mp.log(b) + mp.loggamma(a) + (1 - a) * mp.psi(0, a), SHAPES, "ll"),
    "Gamma KL": Edge(lambda *p: KL(gamma(*p[:2]), gamma(*p[2:])), gamma_kl, TWO_GAMMAS, "llll"),
    "Beta log_prob": Edge(lambda a, b, z: beta(a, b).log_prob(z), lambda a, b, z: dirichlet_log_prob((a, b), (z, 1 - z)), [(a, b, z) for a, b in POINTS for z in (1e-30, 1e-3, 0.251, 0.5, 0.5002, 0.99)], "ll-"),
    "Beta entropy": Edge(lambda a, b: beta(a, b).entropy(), lambda a, b: dirichlet_entropy((a, b)), SHAPES, "ll"),
    "Beta KL": Edge(lambda *p: KL(beta(*p[:2]), beta(*p[2:])), lambda *p: dirichlet_kl(p[:2], p[2:]), TWO_BETAS, "llll"),
    "Dirichlet entropy": Edge(lambda *p: dirichlet(*p).entropy(), lambda *p: dirichlet_entropy(p), [p[:3] for p in TWO_DIRICHLETS], "lll"),
    "Dirichlet KL": Edge(lambda *p: KL(dirichlet(*p[:3]), dirichlet(*p[3:])), lambda *p: dirichlet_kl(p[:3], p[3:]), TWO_DIRICHLETS, "llllll"),
    "Poisson log_prob": Edge(lambda r, n: poisson(r).log_prob(n), lambda r, n: n * mp.log(r) - r - mp.loggamma(n + 1), COUNTS, "l."),
    "Poisson KL": Edge(lambda r, s: KL(poisson(r), poisson(s)), lambda r, s: r * mp.log(r / s) - r + s, [*product(CONCENTRATIONS, CONCENTRATIONS[::2]), *near(*CONCENTRATIONS)], "ll"),
    "von Mises log_prob": Edge(lambda m, k, z: von_mises(m, k).log_prob(z), von_mises_log_prob, ANGLES, "-l-"),
    "von Mises entropy": Edge(lambda k: von_mises(0 * k, k).entropy(), lambda k: mp.log(2 * mp.pi) + log_i0(k) - k * resultant(k), [(k,) for k in KAPPAS], "l"),
    "von Mises variance": Edge(lambda k: von_mises(0 * k, k).variance, lambda k: 1 - resultant(k), [(k,) for k in KAPPAS], "l"),
    "von Mises KL": Edge(lambda *p: KL(von_mises(*p[:2]), von_mises(*p[2:])), von_mises_kl, TWO_ANGLES, "-l-l"),
    "one-hot log_prob": Edge(lambda *l: one_hot(*l).logits[..., 0], lambda *l: log_softmax(l)[0], CATEGORIES, "---"),
    "one-hot entropy": Edge(lambda *l: one_hot(*l).entropy(), lambda *l: entropy_of(*map(mp.exp, log_softmax(l))), CATEGORIES, "---"),
    "one-hot KL": Edge(lambda *l: KL(one_hot(*l[:3]), one_hot(*l[3:])), one_hot_kl, [(*a, *b) for a, b in product(CATEGORIES, CATEGORIES)], "------"),
    "Concrete log_prob": Edge(lambda t, *x: concrete(t, *x[:3]).log_prob(torch.stack(x[3:], -1)), concrete_log_prob, [(t, *l, *v) for t in TEMPERATURES for l in CATEGORIES[:-2] for v in LOG_POINTS], "l------"),
}  # fmt: skip


# Value and gradient
# ----------------------------------------------------------------------------------------


def ours_of(edge: Edge) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """In single precision: the value (n,), its gradient in each of the layer's parameters, and
    what the distribution was given."""
    columns = [torch.tensor(c, dtype=torch.float64) for c in zip(*edge.grid, strict=True)]
    leaves = [
        (c.log() if letter == "l" else c).float().requires_grad_(letter != ".")
        for c, letter in zip(columns, edge.logs, strict=True)
    ]
    given = [
        leaf.exp() if letter == "l" else leaf
        for leaf, letter in zip(leaves, edge.logs, strict=True)
    ]
    value = edge.ours(*given)
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    return value, list(torch.autograd.grad(value.sum(), wanted)), given


def truth_of(edge: Edge, given: list[Tensor]) -> list[list[mp.mpf]]:
    """The value and the gradients at exactly these numbers, by a central difference."""
    columns: list[list[mp.mpf]] = [[]]
    columns += [[] for letter in edge.logs if letter != "."]
    for row in zip(*[g.detach().tolist() for g in given], strict=True):
        x = [mp.mpf(value) for value in row]
        columns[0].append(edge.truth(*x))
        slopes = iter(columns[1:])
        for i, letter in enumerate(edge.logs):
            if letter == ".":
                continue
            step = (abs(x[i]) or 1) * mp.mpf("1e-16")
            low, high = [[*x[:i], x[i] + sign * step, *x[i + 1 :]] for sign in (-1, 1)]
            slope = (edge.truth(*high) - edge.truth(*low)) / (2 * step)
            next(slopes).append(slope * x[i] if letter == "l" else slope)
    return columns


def error(found: float, truth: mp.mpf, scale: float = 1.0) -> float:
    """How many times the tolerance it is off; infinite for NaN or a wrong sign.

    ``scale``: of a logarithm's gradient, which passes through truth / scale, the parameter."""
    if math.isnan(found):
        return math.inf
    if math.isinf(found) or abs(truth) > GREATEST / 2:
        beyond = max(abs(truth), abs(truth / scale)) > GREATEST / 2
        return 0.0 if beyond and found * mp.sign(truth) > GREATEST / 1e4 else math.inf
    return float(abs(found - truth) / (RELATIVE * abs(truth) + ABSOLUTE))


def results(edge: Edge) -> list[tuple[str, tuple[float, ...], float, mp.mpf, float]]:
    """Of every quantity at every row: what it is, the row, what was found, the truth, and how far
    off it is."""
    value, gradients, given = ours_of(edge)
    assert value.dtype == torch.float32
    with mp.workdps(DIGITS):
        truth = truth_of(edge, given)
        found, inputs = [value, *gradients], [i for i, x in enumerate(edge.logs) if x != "."]
        rows = []
        for k, (column, expected) in enumerate(zip(found, truth, strict=True)):
            log = k > 0 and edge.logs[inputs[k - 1]] == "l"
            scales = given[inputs[k - 1]].tolist() if log else [1.0] * len(edge.grid)
            what = f"gradient in parameter {inputs[k - 1]}" if k else "value"
            for row, x, t, scale in zip(edge.grid, column.tolist(), expected, scales, strict=True):
                rows.append((what, row, x, t, error(x, t, scale)))
    return rows


@pytest.mark.parametrize("name", EDGES)
def test_value_and_gradient_are_those_of_high_precision(name):
    for what, row, found, truth, off in results(EDGES[name]):
        assert off <= 1, f"{what} at {row}: {found}, not {mp.nstr(truth, 8)}"


# Infinite logits, and the smallest number as a mask
# ----------------------------------------------------------------------------------------

INF, LEAST = math.inf, -GREATEST
MASKED: dict[str, tuple[Callable[[Tensor], Tensor], Sequence[float], float, Sequence[float]]] = {
    # what, logits, value, gradient in the logits
    "Bernoulli: log of the certain": (lambda l: bernoulli(l[0]).log_prob(0 * l[0].detach().clamp(0, 0)), [-INF], 0.0, [0.0]),
    "Bernoulli: log of the certain, masked": (lambda l: bernoulli(l[0]).log_prob(torch.tensor(0.0)), [LEAST], 0.0, [0.0]),
    "Bernoulli entropy": (lambda l: bernoulli(l[0]).entropy(), [-INF], 0.0, [0.0]),
    "Bernoulli entropy, masked": (lambda l: bernoulli(l[0]).entropy(), [GREATEST], 0.0, [0.0]),
    "Bernoulli KL, q certain": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [-INF, 0.0], math.log(2), [0.0, 0.5]),
    "Bernoulli KL, both certain": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [INF, INF], 0.0, [0.0, 0.0]),
    "Bernoulli KL, both masked": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [LEAST, LEAST], 0.0, [0.0, 0.0]),
    "Bernoulli KL, prior certain": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [0.0, -INF], INF, [INF, -0.5]),
    "Bernoulli KL, opposite": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [INF, -INF], INF, [0.0, -1.0]),
    "KL, certain prior": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [0.0, INF], INF, [-INF, 0.5]),
    "KL, certain prior of the rarer": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [-1.0, INF], INF, [-INF, 0.7310586]),
    "KL, certain prior of the commoner": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [1.0, INF], INF, [-INF, 0.2689414]),
    "KL, impossible prior": (lambda l: KL(bernoulli(l[0]), bernoulli(l[1])), [1.0, -INF], INF, [INF, -0.7310586]),
    "continuous Bernoulli entropy of a point": (lambda l: continuous(l[0]).entropy(), [-INF], -INF, [0.0]),
    "pixels: log of the certain": (lambda l: pixels(l[0]).log_prob(torch.tensor(1.0)), [INF], 0.0, [0.0]),
    "pixels: grey": (lambda l: pixels(l[0]).log_prob(torch.tensor(0.25)), [-INF], -GREATEST / 4, [0.25]),
    "continuous Bernoulli, impossible": (lambda l: continuous(l[0]).log_prob(torch.tensor(0.5)), [INF], -GREATEST / 2, [-0.5]),
    "one-hot: log of the possible": (lambda l: one_hot(*l).log_prob(torch.eye(3)[1]), [-INF, 0.0, 0.0], -math.log(2), [0.0, 0.5, -0.5]),
    "one-hot: log of the possible, masked": (lambda l: one_hot(*l).log_prob(torch.eye(3)[1]), [LEAST, 0.0, 0.0], -math.log(2), [0.0, 0.5, -0.5]),
    "one-hot entropy": (lambda l: one_hot(*l).entropy(), [-INF, 0.0, 0.0], math.log(2), [0.0, 0.0, 0.0]),
    "one-hot KL, q masked": (lambda l: KL(one_hot(*l[:3]), one_hot(*l[3:])), [-INF, 0.0, 0.0, 0.0, 0.0, 0.0], math.log(1.5), [0.0, 0.0, 0.0, 1 / 3, -1 / 6, -1 / 6]),
    "one-hot KL, both masked": (lambda l: KL(one_hot(*l[:3]), one_hot(*l[3:])), [LEAST, 0.0, 0.0, -INF, 0.0, 0.0], 0.0, [0.0] * 6),
    "one-hot KL, prior masked": (lambda l: KL(one_hot(*l[:3]), one_hot(*l[3:])), [0.0, 0.0, 0.0, -INF, 0.0, 0.0], INF, [INF, -INF, -INF, -1 / 3, 1 / 6, 1 / 6]),
    "Concrete, masked": (lambda l: concrete(torch.tensor(2.0), *l).log_prob(torch.tensor([-INF, 0.5, 0.5]).log_softmax(-1)), [-INF, 0.0, 0.0], math.log(2) - 2 * math.log(2), [0.0, 0.0, 0.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", MASKED)
def test_an_impossible_value_leaves_the_rest_right(name):
    function, logits, expected, slopes = MASKED[name]
    leaf = torch.tensor(logits, requires_grad=True)
    value = function(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    assert value.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for i, (found, slope) in enumerate(zip(gradient.tolist(), slopes, strict=False)):
        if math.isinf(slope):  # or as good as infinite
            assert found * math.copysign(1, slope) > GREATEST / 1e4, f"gradient {i}: {found}"
        else:
            assert found == pytest.approx(slope, abs=1e-6), f"gradient {i}"


LIMITS = {
    "bernoulli": [
        [100.0, -100.0, 0.0],
        [-INF, 0.0, 1.0],
        [INF, 0.0, -1.0],
        [LEAST, GREATEST, 1.0],
    ],
    "one_hot": [
        [[100.0, -100.0, 0.0], [-1e30, 1e30, 0.0]],
        [[-INF, 0.0, 1.0], [0.0, -INF, -INF]],
        [[LEAST, 0.0, 1.0], [0.0, LEAST, LEAST]],
    ],
}


def limit(family: str, logits: Tensor) -> D.Distribution:
    base = {"bernoulli": Bernoulli, "one_hot": OneHotCategorical}[family]
    return D.Independent(base(logits=logits, validate_args=False), 1, validate_args=False)


@pytest.mark.parametrize("family", LIMITS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_finite_where_a_value_is_impossible(name, family):
    for logits in LIMITS[family]:
        for objective in (ELBO(3, analytic_kl=False), IWAE(3)):
            leaf = torch.tensor(logits).repeat(8, *[1] * torch.tensor(logits).dim())
            leaf.requires_grad_()
            q = limit(family, leaf)
            prior = limit(family, torch.zeros(leaf.shape[1:]))
            estimator = example(name)
            try:
                estimator.check(q, objective)
            except (NotImplementedError, ValueError):
                continue

            def f(z: Tensor, q: D.Distribution, prior: D.Distribution = prior) -> Tensor:
                return z.flatten(2).cumsum(-1).sum(-1).sin() + prior.log_prob(z) - q.log_prob(z)

            estimate = estimator(q, f, objective, torch.ones(8, 2))
            own = list(estimator.parameters())
            total = estimate.bound.sum() + estimate.auxiliary
            gradients = torch.autograd.grad(total, [leaf, *own], allow_unused=True)
            assert estimate.bound.isfinite().all(), (logits, objective)
            assert total.isfinite(), (logits, objective)
            assert all(g is None or g.isfinite().all() for g in gradients), (logits, objective)


@pytest.mark.parametrize("family", LIMITS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_unbiased_gradient_is_that_of_what_is_possible(name, family):
    """z-tests against the sum over all samples: false alarms, of all together, below 1e-3."""
    estimator, objective = example(name).double(), ELBO(2, analytic_kl=False)
    logits = {"bernoulli": [-INF, 0.4, INF], "one_hot": [[-INF, 0.3, -0.9], [0.2, -INF, -INF]]}
    leaf = torch.tensor(logits[family], dtype=torch.float64).repeat(
        4000, *[1] * (1 + (family == "one_hot"))
    )
    q = limit(family, leaf.requires_grad_())
    try:
        estimator.check(q, objective)
    except (NotImplementedError, ValueError):
        return
    if estimator.bias is not None:
        return

    def f(z: Tensor, q: D.Distribution) -> Tensor:
        return 3 * z.flatten(2).cumsum(-1).sum(-1).sin() - q.log_prob(z)

    def gradient(e: Callable[..., Estimate]) -> Tensor:
        bound = e(q, f, objective, torch.ones(4000, 2, dtype=torch.float64)).bound
        return torch.autograd.grad(bound.sum(), leaf, retain_graph=True)[0].flatten(1)

    torch.manual_seed(0)
    found, truth = gradient(estimator), gradient(Enumerate())[0]
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - truth).abs() <= 4.6 * error + 1e-12).all()
    assert (found[:, (leaf[0] == -INF).flatten()] == 0).all() and truth.abs().max() > 0.01


LAYERS_OF_TWO = {
    "gaussian": {"latent_dim": 2},
    "binary": {"num_variables": 2},
    "one_hot": {"num_variables": 2, "num_categories": 3},
}


@pytest.mark.parametrize("family", LAYERS_OF_TWO)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_bound_of_impossible_samples_is_minus_infinity(name, family):
    """One image of which the model can make nothing, beside an ordinary one."""
    q = LATENTS[family](4, **LAYERS_OF_TWO[family])(torch.ones(2, 4))
    estimator = example(name)
    for objective in (ELBO(3, analytic_kl=False), IWAE(3)):
        try:
            estimator.check(q, objective)
        except (NotImplementedError, ValueError):
            continue

        def f(z: Tensor, q: D.Distribution) -> Tensor:
            return z.flatten(2).sum(-1) + torch.tensor([-INF, 0.0])

        bound = estimator(q, f, objective, torch.ones(2, 3)).bound
        assert bound[0] == -INF and bound[1].isfinite(), objective


def test_an_importance_weighted_bound_of_impossible_samples():
    f = torch.tensor([[-INF, -INF], [-INF, -1.0], [-INF, -2.0]], requires_grad=True)
    objective = IWAE(3)
    bound = objective.reduce(f)
    assert bound[0] == -INF and bound[1].item() == pytest.approx(
        math.log((math.exp(-1) + math.exp(-2)) / 3)
    )
    (slopes,) = torch.autograd.grad(bound.sum(), f)
    assert slopes[:, 1].tolist() == pytest.approx([0, 0.731059, 0.268941], abs=1e-6)
    assert slopes.isfinite().all() and objective.path_weights(f).isfinite().all()
    alternative = torch.tensor([[-INF, 0.0]] * 3, requires_grad=True)
    swapped = objective.swap_one_out(f.detach(), alternative)
    assert (swapped[:, 0] == -INF).all() and swapped[:, 1].isfinite().all()
    assert torch.autograd.grad(swapped.sum(), alternative)[0].isfinite().all()


# Layers: the samples too
# ----------------------------------------------------------------------------------------

LAYERS = {
    "binary": {"num_variables": 1},
    "one_hot": {"num_variables": 1, "num_categories": 3},
    "relaxed_one_hot": {"num_variables": 1, "num_categories": 3},
    "gamma": {"num_variables": 1},
    "beta": {"num_variables": 1},
    "dirichlet": {"num_variables": 1, "num_categories": 3},
    "von_mises": {"num_variables": 1, "prior_concentration": 1.0},
    "poisson": {"num_variables": 1},
    "gaussian": {"latent_dim": 1},
}
RAW = [-1e6, -100.0, -30.0, 0.0, 17.0, 100.0, 1e6]


def test_every_layer_is_pushed_to_its_edges():
    assert LAYERS.keys() == LATENTS.keys() | FAMILIES.keys()


@pytest.mark.parametrize("prior", [0.0, -60.0, 13.0])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_finite_at_every_output_of_their_network(name, prior):
    raw = RAW if name != "gaussian" else [-30.0, 0.0, 30.0]  # a log-scale
    width = {"binary": 1, "poisson": 1, "one_hot": 3, "relaxed_one_hot": 3, "dirichlet": 3}
    layer = (LATENTS | FAMILIES)[name](width.get(name, 2), learned_prior=True, **LAYERS[name])
    with torch.no_grad():
        for module in layer.modules():
            if isinstance(module, nn.Linear):  # the features are its outputs
                module.weight.copy_(torch.eye(len(module.weight)))
                module.bias.zero_()
        for key, parameter in layer.named_parameters():
            if "prior" in key and "loc" not in key:
                parameter.view(-1)[0] = prior if name != "gaussian" else prior / 12
    x = torch.tensor(list(product(raw, repeat=width.get(name, 2)))).repeat_interleave(4, 0)
    x.requires_grad_()
    q, p = layer(x), layer.prior()
    z = q.rsample() if q.has_rsample else q.sample()
    quantities = {
        "sample": z,
        "code": layer.code(z),
        "log q": q.log_prob(z),
        "log p": p.log_prob(z),
        "KL": layer.kl(q),
        "log p of its own": p.log_prob(p.sample(torch.Size([20]))),
    }
    if not name.startswith("relaxed"):
        quantities |= {"mean": q.mean, "variance": q.variance}
    own = [parameter for key, parameter in layer.named_parameters() if "prior" in key]
    for what, value in quantities.items():
        assert value.isfinite().all(), what
        if value.requires_grad:
            gradients = torch.autograd.grad(
                value.sum(), [x, *own], retain_graph=True, allow_unused=True
            )
            assert all(g is None or g.isfinite().all() for g in gradients), what
