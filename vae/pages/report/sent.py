"""The pictures of a report as PNG, by their names on the run's page in W&B."""

from __future__ import annotations

from collections.abc import Sequence

from vae.pages.report.contents import Contents
from vae.pages.report.curves import own, whole
from vae.pages.report.pictures import Picture
from vae.pages.report.single import OTHERS

__all__ = ["to_send"]


def to_send(found: Contents, pictures: Sequence[Picture]) -> dict[str, bytes]:
    """What a report shows, each under the name that the verb that draws it alone gives it.

    Arguments:
        found: The run's folder.
        pictures: Of its model.
    """
    from vae.pictures.style import to_png

    drawn = {p.name: p.png or (to_png(p.figure) if p.figure else None) for p in pictures}
    if (curves := whole(own(found))) is not None:
        drawn["curves"] = to_png(curves)
    shown = {f"pictures/{name}": png for name, png in drawn.items() if png is not None}
    there = {f"pictures/{name}": found.run / "images" / f"{name}.png" for name in OTHERS}
    if found.gradients is not None:
        there["gradients/figure"] = found.run / "gradients.png"
    return shown | {name: path.read_bytes() for name, path in there.items() if path.is_file()}
