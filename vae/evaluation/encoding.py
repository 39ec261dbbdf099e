r"""Codes of images: what a model makes of them, as tensors.

They are asked of the posterior q(z|x) itself, whatever its family is: what it does not define, as the
mean of a mixture of one's own, is left out.
"""

from __future__ import annotations

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from vae.distributions.chain import Chain
from vae.distributions.operations import parameters
from vae.models.vae import VAE

__all__ = ["WORDS", "encode", "features", "parameters_of", "posterior_mean"]


SAMPLES = 16
"""Samples of z over which a code is averaged where E_q[z] has none."""

WORDS = ("mean of q", "code of the mean of q", f"mean code of {SAMPLES} samples of q")
"""What :func:`features` may be."""


@torch.no_grad()
def encode(vae: VAE, x: Tensor) -> dict[str, Tensor]:
    """What a model makes of images ``(B, *image)``, by name.

    With hard latents where they are discrete. ``z`` is drawn from the global generator.

    Returns:
        ``z``, a sample of q(z|x), ``(B, *event)``; ``code``, what the decoder reads of it, ``(B, D)``;
        ``mean``, E_q[z], where it is defined; and the parameters of q by their names (``loc``,
        ``scale``, ``logits``, ...), ``(B, *)``, where it says them.
    """
    vae = vae.hard
    q = vae.posterior(x)
    z = q.sample()
    found = {"z": z, "code": vae.latent.code(z)}
    if (mean := posterior_mean(q)) is not None:
        found["mean"] = mean
    for name, value in parameters_of(q).items():
        found[f"q_{name}" if name in found else name] = value
    return found


@torch.no_grad()
def features(vae: VAE, x: Tensor) -> tuple[Tensor, str]:
    """What stands for each image in a probe: the code of E_q[z], or E_q of the code.

    For Gaussian latents it is E_q[z], for discrete ones the probabilities, for angles the cosine and
    sine of the mean angle. Where E_q[z] is not defined, codes are averaged over 16 samples, drawn
    from the global generator.

    Arguments:
        vae: The model.
        x: Images ``(B, *image)``.

    Returns:
        Features ``(B, D)``, and what they are in words.
    """
    vae = vae.hard
    q = vae.posterior(x)
    mean = posterior_mean(q)
    if mean is not None:
        code = vae.latent.code(mean)
        if bool(code.isfinite().all()):
            same = code.shape == mean.flatten(1).shape and torch.equal(code, mean.flatten(1))
            return code.flatten(1), WORDS[0] if same else WORDS[1]
    codes = vae.latent.code(q.sample(Size([SAMPLES]))).float()  # (K, B, D)
    return codes.mean(0).flatten(1), WORDS[2]


def posterior_mean(q: Distribution) -> Tensor | None:
    """E_q[z], ``(B, *event)``; None where the family does not define it."""
    try:
        mean = q.mean
    except (NotImplementedError, AttributeError):
        return None
    # of a family that cannot say it torch returns NaN
    return mean if isinstance(mean, Tensor) and bool(mean.isfinite().all()) else None


def parameters_of(q: Distribution) -> dict[str, Tensor]:
    """The tensors that define q(z|x), ``(B, *)`` by name; those that all images share are left out.

    Of stochastic layers they are those of the lowest.
    """
    if isinstance(q, Chain):  # of the others the networks are the parameters
        q = q.first
    try:
        found = parameters(q)
    except (NotImplementedError, AttributeError):  # of a family that does not say
        return {}
    batch = q.batch_shape
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, Tensor) and value.shape[: len(batch)] == batch
    }
