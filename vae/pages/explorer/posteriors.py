"""What a page knows of q(z|x): the names of families whose samples ``families.js`` can draw."""

from __future__ import annotations

from torch.distributions import (
    Bernoulli,
    Beta,
    Dirichlet,
    Distribution,
    Gamma,
    Laplace,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    Poisson,
    VonMises,
)

from vae.distributions.conditional_bernoulli import ConditionalBernoulli
from vae.distributions.flow import Flow
from vae.distributions.gaussian_mixture import GaussianMixture
from vae.distributions.kumaraswamy import Kumaraswamy
from vae.distributions.logistic_normal import LogisticNormal
from vae.distributions.operations import base_of, describe
from vae.distributions.plackett_luce import PlackettLuceSubset
from vae.distributions.power_spherical import PowerSpherical
from vae.distributions.quantised import PointMass

__all__ = ["family_of"]


FAMILIES: dict[type[Distribution], str] = {
    Normal: "normal",
    Flow: "normal",
    MultivariateNormal: "multivariate_normal",
    GaussianMixture: "gaussian_mixture",
    Laplace: "laplace",
    Kumaraswamy: "kumaraswamy",
    Beta: "beta",
    Gamma: "gamma",
    Poisson: "poisson",
    VonMises: "von_mises",
    LogisticNormal: "logistic_normal",
    Dirichlet: "dirichlet",
    PowerSpherical: "power_spherical",
    OneHotCategorical: "one_hot",
    Bernoulli: "bernoulli",
    ConditionalBernoulli: "conditional_bernoulli",
    PlackettLuceSubset: "plackett_luce",
}
"""By the class of the distribution of one variable; of a flow, that of what it moves."""


def family_of(q: Distribution) -> str:
    """The name in ``families.js`` of the family of q.

    Raises:
        NotImplementedError: If the page's scripts cannot draw from it.
    """
    if isinstance(q, PointMass):
        return "point_mass"
    base = base_of(q)
    for kind in type(base).__mro__:
        if kind in FAMILIES:
            return FAMILIES[kind]
    raise NotImplementedError(f"the page's scripts cannot draw from {describe(q)}")
