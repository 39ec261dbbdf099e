r"""Likelihoods: from a decoder's output to a distribution :math:`p(x|z)` over images.

Every ``log_prob`` is normalised, in nats, and summed over pixels. What a pixel can be is part of
it: 0 or 1 (``binary``), one of 256 grey levels (``levels``), or any number, where it has a density.
On grey pixels the "log-probability" of a Bernoulli likelihood is a negative cross-entropy and no
bound on anything; a density on binary pixels, or levels on what is none, is refused.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn
from torch import distributions as D

from vae.models.networks import widen
from vae.recorded import Recorded

__all__ = ["Likelihood", "assert_defined"]


class _Image(D.Independent):
    """Independent pixels, whose family may have a faster way to the sum of their log-densities."""

    def log_prob(self, value: Tensor) -> Tensor:
        summed = getattr(self.base_dist, "summed_log_prob", None)
        found = None if summed is None else summed(value, self.reinterpreted_batch_ndims)
        return super().log_prob(value) if found is None else found


class Likelihood(nn.Module, metaclass=Recorded):
    """Maps what the decoder reads, ``(*, D)``, to p(x|z), with batch shape ``(*)``.

    A likelihood of one's own sets ``channels``, ``binary`` or ``levels`` where it is no density, and
    needs :meth:`pixels`.

    Attributes:
        channels: How many parameters the likelihood needs for each pixel.
        binary: Whether it is a distribution over binary images.
        levels: Of how many grey levels, evenly spaced on [0, 1], each pixel is one; None where it is
            binary, or has a density.

    Arguments:
        decoder: A module ``(*, D)`` to ``(*, channels, *image)``.

    Example:
        >>> import torch
        >>> from torch.distributions import Laplace
        >>> from vae import MLPDecoder
        >>> class LaplacePixels(Likelihood):
        ...     channels = 2
        ...
        ...     def pixels(self, parameters):
        ...         loc, log_scale = parameters  # each (*, *image)
        ...         return Laplace(loc, log_scale.exp())
        >>> likelihood = LaplacePixels(MLPDecoder(20, (1, 28, 28), channels=2))
        >>> p = likelihood(torch.randn(5, 20))
        >>> p.batch_shape, p.event_shape
        (torch.Size([5]), torch.Size([1, 28, 28]))
    """

    channels: int = 1
    binary: bool = False
    levels: int | None = None

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, code: Tensor) -> D.Distribution:
        parameters = widen(self.decoder(code))  # (*, channels, *image)
        base = self.pixels(parameters.movedim(code.dim() - 1, 0))
        return _Image(base, parameters.dim() - code.dim(), validate_args=False)

    @abstractmethod
    def pixels(self, parameters: Tensor) -> D.Distribution:
        """The distribution of each pixel, with batch shape ``(*, *image)``.

        Arguments:
            parameters: What the decoder returns, as ``(channels, *, *image)``.
        """


def assert_defined(likelihood: Likelihood, levels: int | None, binarization: str | None) -> None:
    """Refuses a likelihood whose pixels are not those of the data.

    A density on binary pixels is one: the bound would grow without limit. A continuous Bernoulli's
    density at 0 and 1 grows with its logits, and that of a Gaussian, whose scale is learned, as the
    scale shrinks. A Bernoulli on grey pixels is allowed: it gives a cross-entropy.

    Arguments:
        likelihood: The likelihood.
        levels: Of how many values each pixel is one: 2 of binary pixels; None where it is unknown.
        binarization: How the data say that they are binarised; None if they do not.

    Raises:
        ValueError: If the likelihood is a density and the pixels are binary, or it has levels that
            the pixels do not have.
    """
    own = likelihood.levels
    if likelihood.binary or (levels != 2 if own is None else levels == own):
        return
    name = f"likelihood {type(likelihood).__name__}"
    seen = (
        "as in the first training batch"
        if binarization is None
        else f"binarization {binarization}"
    )
    if levels == 2:
        remedy = "serve grey ones" if binarization is None else "set --data.binarization none"
        kind = (
            "a density, unbounded on binary pixels"
            if own is None
            else f"of {own} grey levels, not of binary pixels"
        )
        raise ValueError(f"{name} is {kind} ({seen}): {remedy}, or --model.likelihood bernoulli")
    found = "other values" if levels is None else f"{levels} levels"
    raise ValueError(
        f"{name} is of {own} grey levels, k / {(own or 1) - 1}, and the pixels have {found}"
        f" ({seen}): serve such levels, or use a density (--model.likelihood gaussian)"
    )
