"""What the gradient report says of its numbers: titles, columns and notes."""

from __future__ import annotations

from typing import Any

from vae.objectives import OBJECTIVES

__all__ = ["COLUMNS", "NOTES", "in_digits", "titles"]


COLUMNS = {
    "label": "estimator",
    "num_samples": "K",
    "evaluations": "evals",
    "bias_squared": "bias² ± se",
    "variance": "variance",
    "snr": "SNR",
    "dsnr": "DSNR",
    "cosine": "cosine",
    "encoder_variance": "enc. var.",
    "encoder_snr": "enc. SNR",
    "encoder_cosine": "enc. cos.",
    "milliseconds": "ms",
    "megabytes": "MB",
}


def titles(about: dict[str, Any]) -> tuple[str, str]:
    """What was measured, and how: a title and a line beneath it."""
    form = {True: " with closed-form KL", False: " with Monte-Carlo KL", None: ""}
    named = about["objective"]
    bound = named.upper() + form[about["analytic_kl"]] if named in OBJECTIVES else named
    if about["beta"] not in (None, 1.0):
        bound += f", β = {about['beta']:g}"
    if about.get("bounds") not in (None, "a lower bound of log p(x)"):  # an older one does not say
        bound += f" ({about['bounds']})"
    samples = (
        f"K = {about['num_samples']}"
        if about["match_evaluations"] is None
        else f"{about['match_evaluations']} decoder evaluations each"
    )
    how = (
        f"{bound}, {samples}; {about['images']} {about['split']} images,"
        f" {about['replicates']:,} gradients each; truth: {about['truth']};"
        f" trained by {about['training']}"
    )
    if about["step"] is not None:
        how += f" for {about['step']:,} steps"
    return f"Gradient estimators: {about['model']}, {about['data']}", how


NOTES = """\
✓ unbiased by its claim, which the library's tests certify of its own estimators (of yours, vae.certify does).
The least variance is first, unbiased ones above biased ones.
variance: of one gradient, summed over the parameters of q; enc.: the same of the encoder's weights.
bias²: ‖E g - truth‖², less what the noise of the mean adds to it. So a negative one is a 0 that was\
 estimated with noise: read it with its standard error; bold where it exceeds two of them.
SNR: ‖E g‖ / √variance, of one gradient. DSNR: mean length of its part along the truth over that of its\
 part across; it counts direction alone, so that a large bias can have a large SNR, and no large DSNR.
cosine: between E g and the truth. evals: decodings an image; ms, MB: of one gradient of all images."""
"""What stands under the table."""


def in_digits(value: object) -> str:
    """A cell of the table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
