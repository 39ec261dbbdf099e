"""The parts of an evaluation, in the order of the table.

Each is imported only where it is asked for, or its options are.
"""

from __future__ import annotations

from importlib import import_module

from vae.evaluation.part import Part

__all__ = ["ALWAYS", "PARTS", "part_class"]


ALWAYS = {
    "bounds": "vae.evaluation.bounds.Bounds",
    "units": "vae.evaluation.latents.Units",
}
"""What every evaluation begins with, by name; it takes seconds."""

PARTS = {
    "log_likelihood": "vae.evaluation.importance.ImportanceWeighted",
    "exact": "vae.evaluation.exact.Exact",
    "ais": "vae.evaluation.ais.AIS",
    "gaps": "vae.evaluation.gaps.Gaps",
    "codes": "vae.evaluation.mutual_information.Codes",
    "total_correlation": "vae.evaluation.total_correlation.TotalCorrelation",
    "rate_distortion": "vae.evaluation.rate_distortion.RateDistortion",
    "probe": "vae.evaluation.probe.RepresentationProbe",
    "features": "vae.evaluation.feature_distance.FeatureDistance",
}
"""What is asked for by its flag, by name."""


def part_class(name: str) -> type[Part]:
    """The class of a part."""
    module, _, attribute = (ALWAYS | PARTS)[name].rpartition(".")
    found: type[Part] = getattr(import_module(module), attribute)
    return found
