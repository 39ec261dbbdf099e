"""Draws the rate-distortion curve of decoder and prior, with the encoder's place."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import sitter
from vae.cli.reading import checkpoint_to_read
from vae.run.checkpoint import folder_of

SAMPLES = 50
"""Samples of each image for the encoder's distortion: by one, it may seem to beat the curve."""


def rate_distortion(
    checkpoint: str | None = None,
    output: str | None = None,
    seed: int = 0,
    split: Literal["train", "val", "test"] = "test",
    data: Any = None,
    device: str = "auto",
) -> Path:
    """Draws what ``vae evaluate --rate_distortion`` has computed.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The picture to write, a .png or a .pdf; by default images/rate-distortion.png in the
            run's folder.
        seed: Of the encoder's samples.
        split: The images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        device: cpu, cuda, or auto.
    """
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        import torch

        from vae.evaluation.terms import elbo_terms
        from vae.pictures.rate_distortion import draw, mean_curve

    values = _answers(path, split)
    count = len(values["rate"])
    found = sitter(path, "rate-distortion", output, split, data, device, seed)
    terms = [elbo_terms(found.vae, x, SAMPLES) for x in found.batches(count)]
    rate, distortion = (torch.cat([getattr(t, n) for t in terms]) for n in ("rate", "distortion"))
    one = torch.ones(1).double()
    encoder = mean_curve(rate[:, None].double().cpu(), distortion[:, None].double().cpu(), one)
    curve = mean_curve(values["rate"], values["distortion"], values["beta"][0])
    words = f"{count} {split} images, {len(curve.beta)} temperatures"
    return found.write(draw(curve, encoder), "rate-distortion", words)


def _answers(path: Path, split: str) -> Any:
    """The evaluation's answers for this checkpoint, those of the most images, then the newest."""
    import json

    from vae.evaluation.answers import read_answers
    from vae.run.files import digest

    weights, best = digest(path), None
    files = folder_of(path).glob(f"evaluation-answers/{split}-rate_distortion-*.npz")
    for file in sorted(files, key=lambda f: f.stat().st_mtime):
        found = read_answers(file)
        if found is None or json.loads(found[0]).get("weights") != weights:
            continue
        if not {"rate", "distortion", "beta"} <= found[1].keys() or not len(found[1]["rate"]):
            continue
        if best is None or len(found[1]["rate"]) >= len(best["rate"]):
            best = found[1]
    if best is None:
        raise ValueError(
            f"{path} has no rate-distortion curve of {split} images yet:"
            f" vae evaluate {shlex.quote(str(path))} --rate_distortion"
            f"{'' if split == 'test' else f' --split {split}'} makes it"
        )
    return best


def main(words: list[str], program: str) -> None:
    rate_distortion(**data_parser(rate_distortion, program, words).arguments(words))
