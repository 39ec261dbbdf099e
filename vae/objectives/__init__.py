r"""Bounds on :math:`\log p(x)`, in nats, to be maximised: one interface, one paper a file."""

from vae.objectives.base import Average, LogMeanExp, Model, Objective
from vae.objectives.elbo import ELBO
from vae.objectives.iwae import IWAE

__all__ = ["ELBO", "IWAE", "OBJECTIVES", "Average", "LogMeanExp", "Model", "Objective"]

OBJECTIVES: dict[str, type[Objective]] = {"elbo": ELBO, "iwae": IWAE}
"""The bounds that the presets name by a word, and that every estimator is certified for."""
