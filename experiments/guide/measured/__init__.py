"""What the pages of the guide measure: gradients of this library's estimators, on small problems.

Each problem is so small that its exact gradient is known. ``N`` is how many gradients a page draws; with
GUIDE_FAST=1 in the environment they are few, so that a test runs every page in seconds. Claims are
checked within standard errors, and so hold for both.
"""

from measured.claims import Claims, Table
from measured.gradient import FAST, Measured, N, measure, quieter
from measured.problems import function_of_bits, function_of_one_hot, toy_subsets, toy_vae

__all__ = [
    "FAST",
    "Claims",
    "N",
    "Measured",
    "Table",
    "function_of_bits",
    "function_of_one_hot",
    "measure",
    "quieter",
    "toy_subsets",
    "toy_vae",
]
