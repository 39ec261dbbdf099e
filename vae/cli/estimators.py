"""Lists the gradient estimators: the families they take, and their claims, which tests check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import sympy  # torch needs it
import torch

from vae.certify.named import example, named_cases
from vae.cli.console import console, print_fitted
from vae.cli.latent_names import LAYERS
from vae.cli.parser import ScriptParser
from vae.distributions.kinds import is_discrete, kind_of
from vae.distributions.operations import base_of
from vae.estimators import ESTIMATORS, SURROGATES, named
from vae.models.latents.base import Latent
from vae.objectives import ELBO, IWAE, Model

HEADERS = ("name", "families", "bias", "bound", "∇f", "K ≥", "evaluations", "paper")


def rows() -> list[tuple[str, ...]]:
    """A row an estimator: what it claims, and the latent layers it is defined for."""
    layers = {name: layer(2) for name, layer in LAYERS.items()}
    K, D, C = sympy.symbols("K D C")
    sets = _sets(layers)
    found: list[tuple[str, ...]] = []
    for name in ESTIMATORS | SURROGATES:
        families: set[str] = set()
        costs: dict[str, None] = {}
        for family, layer in layers.items():
            estimator, q = named(name), layer(torch.zeros(1, 2))
            estimator.bind(cast(Model, layer))  # of which it takes the prior
            if estimator.supports(q):
                families.add(family)
                costs[str(estimator.cost(K, D, C, type(base_of(q))))] = None
        bias = "-" if estimator.bias is None else estimator.bias
        if estimator.exact_for:
            bias += f"; exact for {estimator.exact_for} f"
        bounds = [b.__name__ for b in (ELBO, IWAE) if issubclass(b, estimator.objectives)]
        found.append(
            (
                name,
                _in_words(families, sets, layers)
                + "*"
                * any(estimator.needs_gradient and layers[f].rsample_error for f in families),
                bias,
                "any" if len(bounds) == 2 else ", ".join(bounds),
                "yes" if estimator.needs_gradient else "-",
                str(estimator.min_samples),
                " or ".join(costs),
                estimator.paper,
            )
        )
    return found


GROUPS = {
    "Gaussian": ("gaussian",),
    "Bernoulli": ("binary",),
    "one-hot categorical": ("one_hot",),
    "k-subset": ("conditional_bernoulli", "plackett_luce"),
    "layers of any of these": ("gaussian_layers", "binary_layers", "one_hot_layers"),
    "quantised codes": ("vq", "fsq"),
}
"""Latent layers that the short matrix names together."""


def short() -> str:
    """The matrix in short, for the README: estimators by latents, unbiased ones apart."""
    names = [*(ESTIMATORS | SURROGATES)]
    own = {name: _defined(name) for name in names}
    everywhere = [n for n in names if {"gaussian", "binary", "one_hot", "poisson"} <= own[n]]
    groups = {"all of these, and all others": everywhere}
    for group, layers in GROUPS.items():
        groups[group] = [n for n in names if n not in everywhere and own[n] & {*layers}]
    lines = ["| latents | unbiased | biased |", "|---|---|---|"]
    for group, members in groups.items():
        sides: tuple[list[str], list[str]] = ([], [])
        for name in members:
            sides[named(name).bias is not None].append(f"`{name}`")
        lines.append(f"| {group} | " + " | ".join(", ".join(side) or "-" for side in sides) + " |")
    return "\n".join(lines)


def _defined(name: str) -> set[str]:
    """The latent layers that an estimator is defined for."""
    found = set()
    for family, layer in LAYERS.items():
        estimator, made = named(name), layer(2)
        estimator.bind(cast(Model, made))  # of which it takes the prior
        if estimator.supports(made(torch.zeros(1, 2))):
            found.add(family)
    return found


def _sets(layers: Mapping[str, Latent]) -> dict[str, set[str]]:
    """Sets of latent layers that have a name, the large ones first."""
    q = {name: layer(torch.zeros(1, 2)) for name, layer in layers.items()}
    kinds = {name: kind_of(family) or name for name, family in q.items()}
    discrete = {n for n, family in q.items() if is_discrete(family)}
    found = {
        "all": set(layers),
        "all with rsample": {n for n, family in q.items() if family.has_rsample},
        "all discrete": discrete,
        "all continuous": set(layers) - discrete,
    }
    for kind in sorted(set(kinds.values())):
        found[f"all {kind}"] = {n for n, k in kinds.items() if k == kind}
    return {name: members for name, members in found.items() if len(members) > 1}


def _in_words(families: set[str], sets: Mapping[str, set[str]], order: Iterable[str]) -> str:
    """The sets of layers that are in these families, and the rest by name."""
    said: list[str] = []
    left = set(families)
    for name, members in sets.items():
        if members <= families and members & left:
            said.append(name)
            left -= members
    return ", ".join([*said, *(name for name in order if name in left)])


def markdown() -> str:
    """The matrix for the README."""
    lines = ["| " + " | ".join(HEADERS) + " |", "|" + "---|" * len(HEADERS)]
    for name, *cells in rows():
        escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
        lines.append(f"| `{name}` | {escaped} |")
    return "\n".join([*lines, "", footnote().replace("*", "\\*", 1)])


def footnote() -> str:
    """What "unbiased" means where torch's own derivative is an approximation."""
    errors = {n: e for n, layer in LAYERS.items() if (e := layer(2).rsample_error)}
    said = ", ".join(f"{error:g} ({name})" for name, error in errors.items())
    return (
        "* Unbiased but for torch's derivative of the sample, an approximation with a relative error"
        f" of up to {said} between the 1st and the 99th percentile, and more in the tails."
    )


def folded(row: Sequence[str]) -> str:
    """What stands beside an estimator's name on a narrow terminal."""
    _, families, bias, bound, gradient, least, evaluations, paper = row
    claims = [
        "unbiased" if bias == "-" else f"biased: {bias}",
        "any bound" if bound == "any" else f"{bound} alone",
        *(["needs ∇f"] if gradient == "yes" else []),
        *([f"K ≥ {least}"] if least != "1" else []),
        f"{evaluations} evaluations",
    ]
    return "\n".join([families, "; ".join(claims), *([paper] if paper else [])])


def show(format: str = "table") -> None:
    """Prints the matrix of estimators.

    Args:
        format: table or markdown.
    """
    if format not in ("table", "markdown"):
        raise ValueError(f"unknown format {format!r}: choose table or markdown")
    if format == "markdown":
        print(markdown())
        return
    out = console()
    print_fitted(out, HEADERS, rows(), folded, 150)
    out.print(footnote(), markup=False)
    biased = [name for name in ESTIMATORS if example(name).bias is not None]
    certified = [case for case in named_cases() if case[0] not in biased]
    out.print(
        f"{len(ESTIMATORS)} estimators. The tests certify {len(certified)} triples (estimator,"
        f" problem, bound) as unbiased, by a z-test against the exact gradient, and show each of"
        f" the {len(biased)} biased estimators to be so by the same test."
    )


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    parser.add_function_arguments(show)
    show(**vars(parser.parse_args(words)))
