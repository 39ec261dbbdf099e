"""Evaluates a checkpoint: what it achieves, and where the rest is lost.

ELBO, rate and distortion always; the rest by its flag. A part that is cut short keeps what it has, and
the same command goes on from there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.reading import checkpoint_to_read
from vae.run import provenance
from vae.run.checkpoint import find_checkpoint, folder_of, load
from vae.run.files import writable, write_json

if TYPE_CHECKING:
    from vae.evaluation.part import Part


def evaluate(
    checkpoint: str | None = None,
    split: Literal["train", "val", "test"] = "test",
    elbo_samples: int = 1,
    limit: int | None = None,
    batch_size: int = 500,
    device: str = "auto",
    output: str | None = None,
    seed: int = 0,
    again: bool = False,
    data: Any = None,
    parts: Sequence[Part] = (),
    wherever_possible: bool = False,
) -> dict[str, Any]:
    """Evaluates the model with hard latents; every number with a standard error over images.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        split: The images to evaluate on.
        elbo_samples: Samples of z for each image, over which the distortion is averaged.
        limit: Only the first so many images.
        batch_size: Images at a time.
        device: cpu, cuda, or auto.
        output: The JSON to write; by default evaluation-SPLIT.json in the run's folder, or, of fewer
            images than the one that is there, a name that says how many.
        seed: The seed of everything that is drawn.
        again: Compute anew what an earlier evaluation has answered.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        parts: What to ask beside the bounds; of parts that are always asked, with other options.
        wherever_possible: Leave out the parts that have no answer for this model.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ValueError("numbers of samples, images and batches must be at least 1")
    if output and writable(Path(output)).suffix != ".json":
        raise ValueError(
            f"the numbers are written as JSON: --output must end in .json, got {output}"
        )
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        import torch

        from vae.cli.asking import Asking
        from vae.cli.evaluation_file import held, merged, place
        from vae.cli.evaluation_table import print_evaluation
        from vae.data.load import load_images
        from vae.evaluation.part import Subject
        from vae.evaluation.parts import ALWAYS, part_class
        from vae.run.record import command_line, find_device, git_says, hardware

    module, contents, _ = load(path)
    where = torch.device(find_device(device))
    trained = module.vae.to(where)
    other_data = None if data is None else type(data).__name__
    data = load_images(contents, data)
    estimator = module.estimator.to(where)
    subject = Subject(trained.hard, trained, data, split, limit, where, seed, estimator)
    about: dict[str, Any] = {
        "checkpoint": str(path),
        "step": contents.get("global_step"),
        "split": split,
        "images": _count(subject, batch_size),
        "binarization": data.binarization,
        "elbo_samples": elbo_samples,
        "seed": seed,
    }
    if other_data:
        from vae.data.description import data_names

        about["data"] = data_names(data)["data"] or other_data
    folder = folder_of(path)
    target = writable(Path(output) if output else place(folder, about, other_data))
    training = provenance.training(folder, contents)  # before hours of work: it may be damaged
    started = time.monotonic()
    asking = Asking(subject, about, target, batch_size, again)
    always = [
        part_class(name)(**({"samples": elbo_samples} if name == "bounds" else {}))
        for name in ALWAYS
        if name not in [part.name for part in parts]
    ]
    asked = asking.possible([*always, *parts], skip=[*ALWAYS] + ["*"] * wherever_possible)
    for part in asked:
        asking.ask(part)
        if asking.stopped:
            break
    there = {} if output else held(target, about)
    rows = merged(there.get("metrics", {}), asking.rows)
    remarks = {**there.get("remarks", {}), **asking.remarks}
    result: dict[str, Any] = {
        **about,
        "metrics": rows,
        "remarks": remarks,
        "seconds": round(time.monotonic() - started, 1),
        "commands": [*dict.fromkeys([*there.get("commands", []), command_line()])],
        "git": git_says("rev-parse", "HEAD"),
        "git_dirty": bool(git_says("status", "--porcelain")),
        "version": version("vae"),
        "torch": str(torch.__version__),
        "hardware": hardware(str(where)),
        "training": training,
    }
    try:
        write_json(target, result)
    except OSError:  # the disk has filled since
        print(json.dumps(result, indent=2))
        raise
    shown = {name: asking.rows.get(name, row) for name, row in rows.items()}
    print_evaluation(f"{split} images, {data.pixels}, seed {seed}", shown)
    if kept := [name for name, row in shown.items() if row["images"] < rows[name]["images"]]:
        asking.said.append(f"{target.name} keeps {', '.join(kept)} of more images")
    for line in dict.fromkeys([*chain(*remarks.values()), *asking.said]):
        print(line)
    print(f"checkpoint  {path}\nwritten     {target}  ({result['seconds']} s)")
    _to_wandb(folder, split, rows)
    if asking.stopped:
        print(f"interrupted: the same command goes on with {asking.stopped}", file=sys.stderr)
        raise SystemExit(130)
    return result


def _count(subject: Any, batch_size: int) -> int:
    """The number of images to evaluate.

    Raises:
        ValueError: If there are none.
    """
    data, split, limit = subject.data, subject.split, subject.limit
    images: int | None = data.count(split)
    if images == 0:
        others = [s for s in ("test", "val", "train") if data.count(s) != 0]
        raise ValueError(f"the model's data have no {split} images: use --split {others[0]}")
    if images is None:  # of a stream: known once it was read
        loader = data.loader(split, device=subject.device, batch_size=batch_size, limit=limit)
        images = sum(len(x) for x in loader)
    return min(images, limit or images)


def _to_wandb(run: Path, split: str, rows: dict[str, Any]) -> None:
    """Adds the numbers to the summary of the run's page, if it has one."""
    from vae.run.wandb_page import has_page, log_summary

    if has_page(run):
        log_summary(
            run,
            {
                f"evaluation/{split}/{name}": row["mean"]
                for name, row in rows.items()
                if row["mean"] is not None
            },
        )


def main(words: list[str], program: str) -> None:
    if words and not words[0].startswith("-"):
        find_checkpoint(words[0])  # before the imports, which take a second
    with uncollected():
        from vae.cli.evaluation_options import add_parts, take_parts

    parser = data_parser(evaluate, program, words, "again", "parts", "wherever_possible")
    parser.usage = (
        f"{program} [checkpoint] [--OPTION VALUE ...]"  # there are too many to list twice
    )
    add_parts(parser)
    options = parser.arguments(words)
    options["parts"], options["wherever_possible"] = take_parts(options)
    evaluate(**options)
