"""Images side by side, in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Mosaic", "means", "mosaic", "show"]

CELL = 60
"""About how many pixels of the mosaic an image has, so that gaps are thin beside small ones too."""


def means(p: Distribution) -> Tensor:
    """What p(x|z) shows: its mean or, of a family that knows none, a sample."""
    try:
        return p.mean
    except NotImplementedError:
        return p.sample()


def colored(images: Tensor) -> Tensor:
    """Images ``(*, C, H, W)`` as ``(*, H, W, 3)`` in [0, 1]; of other than 3 channels, the mean.

    Raises:
        ValueError: If they have no channels, height and width.
    """
    if images.dim() < 4:
        raise ValueError(
            f"images of shape {tuple(images.shape[1:])} cannot be drawn: (C, H, W) is needed"
        )
    if images.shape[-3] != 3:
        images = images.mean(-3, keepdim=True).expand(*images.shape[:-3], 3, *images.shape[-2:])
    return images.detach().float().clamp(0, 1).movedim(-3, -1).cpu()


class Mosaic(NamedTuple):
    """Images in rows and columns on white ground.

    Attributes:
        canvas: ``(*, *, 3)`` in [0, 1].
        columns: Where the middles of columns are, in pixels.
        rows: Where the middles of rows are.
        cell: Height and width of an image.
        gap: Pixels between images.
    """

    canvas: Tensor
    columns: list[float]
    rows: list[float]
    cell: tuple[int, int]
    gap: int

    @property
    def aspect(self) -> float:
        """Its height in parts of its width."""
        return self.canvas.shape[0] / self.canvas.shape[1]


def mosaic(images: Tensor, apart: Sequence[int] = (), gap: int = 3) -> Mosaic:
    """Puts images side by side; small ones are magnified.

    Arguments:
        images: ``(R, S, C, H, W)``; one that is NaN is left out.
        apart: Columns with a wider gap before them.
        gap: Pixels between images.

    Raises:
        ValueError: If they have no channels, height and width.
    """
    missing = images.isnan().flatten(2).any(-1)
    cells = colored(images.nan_to_num(1.0))
    R, S, H, W, _ = cells.shape
    scale = max(1, CELL // max(H, W))
    cells = cells.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    H, W = H * scale, W * scale
    left, x = [], 0
    for column in range(S):
        x += (4 * gap if column in apart else gap) if column else 0
        left.append(x)
        x += W
    canvas = torch.ones(R * (H + gap) - gap, x, 3)
    for row in range(R):
        for column in range(S):
            if not missing[row, column]:
                top = row * (H + gap)
                canvas[top : top + H, left[column] : left[column] + W] = cells[row, column]
    columns = [start + W / 2 - 0.5 for start in left]
    rows = [row * (H + gap) + H / 2 - 0.5 for row in range(R)]
    return Mosaic(canvas, columns, rows, (H, W), gap)


def show(axes: Axes, images: Mosaic, columns: Mapping[float, str]) -> None:
    """Draws a mosaic without a frame, with words above at the given places."""
    axes.imshow(images.canvas.numpy())
    axes.set_xticks(list(columns), list(columns.values()))
    axes.set_yticks([])
    axes.tick_params(length=0, pad=2, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
