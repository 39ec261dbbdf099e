r"""What a model is trained by, in nats, to be maximised: one interface, one paper a file."""

from vae.objectives.averaged import CIWAE, MIWAE, PIWAE
from vae.objectives.base import Average, ImportanceWeighted, LogMeanExp, Model, Objective, Terms
from vae.objectives.capacity import Capacity
from vae.objectives.elbo import ELBO
from vae.objectives.free_bits import FreeBits
from vae.objectives.iwae import IWAE
from vae.objectives.renyi import CUBO, Renyi, VRMax
from vae.objectives.separate import Separate
from vae.objectives.total_correlation import BetaTC
from vae.objectives.tvo import TVO

__all__ = [
    "CIWAE",
    "CUBO",
    "ELBO",
    "IWAE",
    "MIWAE",
    "OBJECTIVES",
    "PIWAE",
    "TVO",
    "Average",
    "BetaTC",
    "Capacity",
    "FreeBits",
    "ImportanceWeighted",
    "LogMeanExp",
    "Model",
    "Objective",
    "Renyi",
    "Separate",
    "Terms",
    "VRMax",
]

OBJECTIVES: dict[str, type[Objective]] = {"elbo": ELBO, "iwae": IWAE}
"""The bounds that the presets name by a word."""
