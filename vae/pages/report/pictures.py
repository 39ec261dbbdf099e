"""The pictures of a report, drawn from the model; what a family cannot have says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from vae.pages.inline import image, png_of, svg
from vae.pages.report.markup import Section, note
from vae.pages.report.subject import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae.pictures.kl import VariableKL

__all__ = ["Picture", "attempt", "drawn", "samples", "section_of"]

COLUMNS, RECONSTRUCTED, SAMPLED = 10, 30, 50
"""Images across, and how many in all: on a phone each is still as wide as a letter is high."""

KL_IMAGES = 1000
"""Over which the KL of each variable and the use of categories are averaged."""


class Picture(NamedTuple):
    """A picture, or why there is none.

    Attributes:
        name: As the verb that draws it calls it.
        title: Above it.
        caption: Below it.
        figure: Of lines and letters.
        png: Of pixels.
        why: The reason why there is neither.
    """

    name: str
    title: str
    caption: str = ""
    figure: Figure | None = None
    png: bytes | None = None
    why: str = ""


TITLES = {
    "reconstructions": "Reconstructions",
    "samples": "Samples of the prior",
    "traverse": "Traversals",
    "kl": "KL of each variable",
    "code-usage": "Use of categories",
}
"""The pictures, in the order of a page."""

BESIDE = {"reconstructions": "images", "samples": "images", "kl": "bars", "code-usage": "bars"}
"""Those that stand beside each other."""


def drawn(subject: Subject, evaluations: Mapping[str, Any]) -> list[Picture]:
    """All pictures of a model.

    Arguments:
        subject: The model and its images.
        evaluations: The run's, of which the KL of each variable is taken where they have it.
    """
    makers: dict[str, Callable[[], Picture]] = {
        "reconstructions": lambda: _reconstructions(subject),
        "samples": lambda: samples(subject),
        "traverse": lambda: _traverse(subject),
        "kl": lambda: _kl(subject, evaluations),
        "code-usage": lambda: _code_usage(subject),
    }
    return [attempt(name, make, subject) for name, make in makers.items()]


def attempt(name: str, make: Callable[[], Picture], subject: Subject) -> Picture:
    """A picture, or the reason why there is none; the same noise gives the same picture."""
    from vae.seeds import fixed_noise

    if subject.vae is None or (subject.data is None and name != "samples"):
        return Picture(name, TITLES[name], why=subject.why)
    import torch

    try:
        with fixed_noise(torch.device("cpu"), 0), torch.no_grad():
            return make()
    except Exception as error:  # an own part's: a report has no picture rather than no end
        reason = " ".join(str(error).split()) or type(error).__name__
        return Picture(name, TITLES[name], why=reason)


def _reconstructions(subject: Subject) -> Picture:
    from vae.analysis.images import reconstruction_grid

    assert subject.vae is not None
    x = subject.first(RECONSTRUCTED)
    caption = (
        f"{len(x)} {subject.split} images, each above the mean of p(x|z) at one sample of q(z|x)."
    )
    grid = reconstruction_grid(subject.vae, x, COLUMNS)
    return Picture("reconstructions", TITLES["reconstructions"], caption, png=png_of(grid))


def samples(subject: Subject, count: int = SAMPLED) -> Picture:
    """Images drawn from the prior."""
    from vae.analysis.images import sample_grid
    from vae.models.memory import assert_memory, floats_per_decoding

    assert subject.vae is not None
    assert_memory(16 * floats_per_decoding(subject.vae) * count, f"decoding {count} codes")
    caption = f"Means of p(x|z) at {count} samples z of the prior."
    grid = sample_grid(subject.vae, count, COLUMNS)
    return Picture("samples", TITLES["samples"], caption, png=png_of(grid))


def _kl_of(subject: Subject, evaluations: Mapping[str, Any]) -> tuple[VariableKL | None, str]:
    """The KL of each variable, and what it is of; of an evaluation, where one has it."""
    import torch

    from vae.pictures.kl import VariableKL, variable_kl

    assert subject.vae is not None
    for name, content in evaluations.items():
        row = content["metrics"].get("kl_per_variable", {})
        if isinstance(row.get("kl"), list) and content.get("split") == "test":
            mean = torch.tensor(row["kl"])
            found = VariableKL(mean, None, row["images"], row["bound"] == "exact")
            return found, f"{row['images']:,} test images ({name})"
    measured = variable_kl(subject.vae, subject.batches(KL_IMAGES))
    return measured, f"{measured.images:,} {subject.split} images" if measured else ""


def _kl(subject: Subject, evaluations: Mapping[str, Any]) -> Picture:
    from vae.pictures.kl import NO_SUM, draw

    found, of = _kl_of(subject, evaluations)
    if found is None:
        return Picture("kl", TITLES["kl"], why=NO_SUM)
    how = "in closed form" if found.exact else "estimated from samples"
    caption = f"KL(q(z|x) || p(z)) {how}, a mean over {of}."
    return Picture("kl", TITLES["kl"], caption, draw(found))


def _traverse(subject: Subject) -> Picture:
    from vae.pictures.kl import mean_variance
    from vae.pictures.traverse import draw, traverse

    assert subject.vae is not None
    found, of = _kl_of(subject, {})
    name = "KL [nats]" if found else "Var E[z]"
    over = f", a mean over {of}" if found else ""
    score = found.mean if found else mean_variance(subject.vae, subject.batches(KL_IMAGES))
    result = traverse(subject.vae, subject.first(1)[0], score, min(10, len(score)), 11)
    caption = (
        f"The code of the first {subject.split} image with one variable changed at a time; the"
        f" {len(result.variables)} of {len(score)} variables with the highest {name}{over}."
    )
    return Picture("traverse", TITLES["traverse"], caption, draw(result, name))


def _code_usage(subject: Subject) -> Picture:
    from vae.distributions.operations import describe
    from vae.evaluation.usage import code_usage
    from vae.pictures.code_usage import draw

    assert subject.vae is not None
    shares = code_usage(subject.vae, subject.batches(KL_IMAGES))
    if shares is None:
        why = f"the latents ({describe(subject.vae.prior())}) have no categories to count"
        return Picture("code-usage", TITLES["code-usage"], why=why)
    caption = (
        f"The share of at most {KL_IMAGES:,} {subject.split} images that falls to each category."
    )
    return Picture("code-usage", TITLES["code-usage"], caption, draw(shares))


def section_of(picture: Picture, run: Path) -> Section | None:
    """A picture in the page; where there is none, the last that training has left, if any."""
    if picture.png is not None:
        shown = f"<figure>{image(picture.png, picture.title)}"
    elif picture.figure is not None:
        shown = f"<figure>{svg(picture.figure, picture.name, picture.title)}"
    else:
        files = sorted(run.glob(f"images/{picture.name}*.png"))
        if not files:
            return None
        kept = f"images/{files[-1].name}, as it was drawn before; now: {picture.why}."
        shown = f"<figure>{image(files[-1].read_bytes(), picture.title)}"
        picture = picture._replace(caption=kept)
    shown += f"<figcaption>{note(picture.caption)}</figcaption></figure>"
    return Section(picture.name, picture.title, shown, BESIDE.get(picture.name, ""))
