"""When a posterior has collapsed: what the watch in training and the evaluation both go by.

KL(q(z|x) || p(z)), averaged over images, bounds the nats that z holds of an image. So does the KL
of one variable, of what that variable holds.
"""

from __future__ import annotations

import math

from torch import Tensor

__all__ = [
    "COLLAPSED",
    "IGNORED",
    "INFORMATION",
    "collapse_verdict",
    "information_verdict",
    "is_collapsed",
]


COLLAPSED = 0.01
"""The KL from the prior, in nats an image, below which z, or a variable of it, counts as collapsed."""

INFORMATION = 0.1
"""The I(x; z), in nats, that counts as nothing: it is known with an error of some hundredths."""

IGNORED = "the decoder ignores the latents"


def is_collapsed(kl: float, below: float = COLLAPSED) -> bool:
    """Whether latents with this KL from the prior, in nats an image, hold next to nothing.

    A KL that is not a number is none that is close to 0.

    References:
        | Generating Sentences from a Continuous Space (Bowman et al., 2016), section 3.1
        | (https://arxiv.org/abs/1511.06349).
    """
    return kl < below


def collapse_verdict(
    rate: float, kl: Tensor | None, activity: Tensor, threshold: float = 0.01
) -> str:
    """A verdict in words, with its rule.

    Arguments:
        rate: KL(q(z|x) || p(z)) in nats, averaged over images.
        kl: Its part of each variable, with shape (L,), or None where it has none.
        activity: The activity of each unit (:func:`vae.evaluation.units.activity`).
        threshold: Above which a unit is active.
    """
    active, units = int((activity > threshold).sum()), len(activity)
    counted = f"{active} of {units} units active (Var[E_q[z]] > {threshold:g})"
    if is_collapsed(rate):
        return f"posterior collapse: the rate is {rate:.2g} nats (< {COLLAPSED}): {IGNORED}"
    if bool((activity <= threshold).all()):
        return (
            f"posterior collapse: {counted}: E_q[z] hardly differs from image to image; --codes"
            " says whether z tells them apart all the same"
        )
    if kl is None:
        return f"no posterior collapse: the rate is {rate:.3g} nats (>= {COLLAPSED}), {counted}"
    dead = int((kl < COLLAPSED).sum())
    if dead:
        return f"{dead} of {len(kl)} variables collapsed: KL < {COLLAPSED} nats each; {counted}"
    return (
        f"no variable collapsed: KL >= {COLLAPSED} nats in each of {len(kl)} variables, {counted}"
    )


def information_verdict(lower: float, upper: float, count: int, error: float = 0.0) -> str:
    """What bounds on I(x; z) say, in words.

    Arguments:
        lower: In nats, of N images.
        upper: In nats.
        count: N.
        error: The standard error of ``upper``: two of them are added before it counts as a bound.
    """
    ceiling, most = math.log(count), upper + 2 * error
    if most < INFORMATION:
        most = max(most, 0.0)
        return (
            f"posterior collapse: I(x; z) is at most {most:.2g} nats (< {INFORMATION}): {IGNORED}"
        )
    if ceiling - lower < INFORMATION:
        return (
            f"z tells these {count:,} images apart: I(x; z) is at its ceiling log N = {ceiling:.2f}"
            f" (within {INFORMATION}), and may be up to {upper:.2f} nats of more images"
        )
    said = f"z holds {lower:.2f} to {upper:.2f} nats of an image"
    if upper < INFORMATION:
        said += (
            f", but for an error of {2 * error:.2f}: too few images to tell whether it collapsed"
        )
    return said
