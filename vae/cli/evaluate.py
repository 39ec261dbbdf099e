"""Evaluates a checkpoint: ELBO, rate, distortion and, on request, the K-sample log-likelihood."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.run.checkpoint import find_checkpoint, folder_of, load
from vae.run.files import read_json, writable, write_json


def evaluate(
    checkpoint: str | None = None,
    log_likelihood_samples: list[int] | None = None,
    split: Literal["val", "test"] = "test",
    elbo_samples: int = 1,
    limit: int | None = None,
    batch_size: int = 500,
    device: str = "auto",
    output: str | None = None,
    seed: int = 0,
    data: Any = None,
) -> dict[str, Any]:
    """Evaluates the model with hard latents, in nats an image, with standard errors over images.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        log_likelihood_samples: K of the importance-weighted bounds on log p(x), one or several.
        split: The images to evaluate on.
        elbo_samples: Samples of z for each image, over which the distortion is averaged.
        limit: Only the first so many images.
        batch_size: Images at a time. Memory does not depend on K.
        device: cpu, cuda, or auto.
        output: The JSON to write; by default evaluation-SPLIT.json in the run's folder or, where that
            is there and says more of the same checkpoint, a name that says what this one is of.
        seed: The seed of the latent samples.
        data: Other data than those trained on: a data module, as --data mine.MyData.
    """
    counts = log_likelihood_samples or []
    if min([elbo_samples, batch_size, *counts]) < 1 or (limit is not None and limit < 1):
        raise ValueError("numbers of samples, images and batches must be at least 1")
    path = find_checkpoint(checkpoint)  # before the imports, which take a second
    with uncollected():
        import torch
        from rich.progress import track

        from vae.cli.table import print_table
        from vae.data.load import load_images
        from vae.evaluation.terms import active_units, elbo_terms
        from vae.models.memory import DECODINGS, assert_memory, floats_per_decoding
        from vae.run.record import find_device, hardware

    module, contents, _ = load(path)
    device = find_device(device)
    vae = module.vae.to(device)
    other_data = None if data is None else type(data).__name__
    data = load_images(contents, data)
    if data.count(split) == 0:
        other = "val" if split == "test" else "test"
        raise ValueError(f"the model's data have no {split} images: use --split {other}")
    batches = data.loader(split, device=device, batch_size=batch_size, limit=limit)
    images = data.count(split)
    if images is None:  # of a stream: known once it was read
        images = sum(len(x) for x in batches)
    images = min(images, limit or images)
    if images * max(counts, default=0) > DECODINGS:
        most = DECODINGS // images
        raise ValueError(
            f"log_likelihood: of {images} images with K = {max(counts)} it would take weeks; give at most {most}, or a limit"
        )
    decodings = min(batch_size, images) * elbo_samples
    assert_memory(
        4 * floats_per_decoding(vae) * decodings, f"decoding {decodings} codes at a time"
    )
    about: dict[str, Any] = {
        "checkpoint": str(path),
        "step": contents.get("global_step"),
        "split": split,
        "images": images,
        "binarization": data.binarization,
        "elbo_samples": elbo_samples,
        "seed": seed,
    }
    target, displaced = Path(output or ""), None
    if other_data:
        from vae.data.description import data_names

        about["data"] = data_names(data)["data"] or other_data
    if output is None and other_data:
        target = folder_of(path) / f"evaluation-{split}-{other_data}.json"
    elif output is None:
        target, displaced = _places(folder_of(path), about, counts)
    target = writable(target)
    training = _training(folder_of(path))  # before hours of work: it may be damaged
    started = time.monotonic()
    torch.manual_seed(seed)
    values: dict[str, list[torch.Tensor]] = {}
    number = -(-images // batch_size)
    for x in track(batches, "evaluating", total=number, disable=not sys.stderr.isatty()):
        terms = elbo_terms(vae, x, elbo_samples).named()
        terms |= {f"log_likelihood_{k}": vae.log_likelihood(x, k) for k in counts}
        for name, value in terms.items():
            values.setdefault(name, []).append(value.cpu().double())
    rows: dict[str, dict[str, float | None]] = {}
    for name, parts in values.items():
        value = torch.cat(parts)
        error = (value.std() / len(value) ** 0.5).item() if len(value) > 1 else None
        rows[name] = {
            "mean": round(value.mean().item(), 4),
            "se": None if error is None else round(error, 4),
        }
    mean_of_q = torch.cat([vae.hard.posterior(x).mean.detach().cpu() for x in batches])
    result: dict[str, Any] = {
        **about,
        "metrics": rows,
        "active_units": active_units(mean_of_q) if len(mean_of_q) > 1 else None,
        "latent_units": vae.latent.code_features,
        "seconds": round(time.monotonic() - started, 1),
        "hardware": hardware(device),
        "training": training,
    }
    try:
        if displaced:
            target.replace(displaced)
        write_json(target, result)
    except OSError:  # the disk has filled since
        print(json.dumps(result, indent=2))
        raise
    title = f"{result['images']} {split} images, {data.pixels}"
    shown = {
        name: f"{row['mean']:.2f}" + ("" if row["se"] is None else f" ± {row['se']:.2f}")
        for name, row in rows.items()
    }
    print_table(title, shown)
    if result["images"] > 1:  # a variance over images
        print(f"active units {result['active_units']} of {result['latent_units']} entries of z")
    if vae.likelihood.binary and not data.is_binary:
        print("grey pixels under a Bernoulli likelihood: cross-entropies, not bounds on log p(x)")
    print(f"checkpoint  {path}\nwritten     {target}  ({result['seconds']} s)")
    return result


def _places(run: Path, about: dict[str, Any], counts: list[int]) -> tuple[Path, Path | None]:
    """Chooses a file so that no evaluation of the same checkpoint is replaced by one that says less.

    The evaluation of the most images has the plain name.

    Returns:
        Where the new evaluation goes; and where the one that is there must be moved first, if it
        says something that the new one does not.
    """
    path = run / f"evaluation-{about['split']}.json"
    try:
        held = read_json(path) if path.is_file() else {}
        same = Path(held["checkpoint"]).name == Path(about["checkpoint"]).name
        same = same and held["step"] == about["step"]
        held_counts = [
            int(k) for k in re.findall(r"log_likelihood_(\d+)", " ".join(held["metrics"]))
        ]
        fewer = about["images"] < held["images"]
        more = about["images"] > held["images"]
        lacking = bool(set(held_counts) - set(counts))
        lacking = lacking or about["elbo_samples"] < held["elbo_samples"]
        own, other = _named(path, about, counts), _named(path, held, held_counts)
    except (ValueError, LookupError, TypeError, AttributeError):  # of another version, or damaged
        return path, None
    if not same:
        return path, None
    if fewer or (lacking and not more):
        return own, None
    return path, other if lacking else None


def _named(path: Path, about: dict[str, Any], counts: list[int]) -> Path:
    """A name that says what an evaluation is of."""
    parts = [f"{about['images']}-images", f"{about['elbo_samples']}-samples"]
    parts += [f"K{k}" for k in sorted(counts)]
    return path.with_name(f"{path.stem}-{'-'.join(parts)}.json")


def _training(run: Path) -> dict[str, Any]:
    """How the checkpoint was made, from its run's folder, where it is still in one."""
    record: dict[str, Any] = {}
    for name in ("run.json", "results.json"):
        if (run / name).is_file():
            record |= read_json(run / name)
    for name in ("metrics", "host", "pid"):
        record.pop(name, None)
    if "continued" in record:
        continued = record["continued"]
        record["continued"] = len(continued) if isinstance(continued, list) else 1
    return record


def main(words: list[str], program: str) -> None:
    parser = data_parser(evaluate, program, words, "log_likelihood_samples")
    parser.add_argument(
        "--log_likelihood",
        type=int,
        nargs="*",
        metavar="K",
        help="also the importance-weighted bound with K samples; several K may follow (default: 5000)",
    )
    options = parser.arguments(words)
    requested = options.pop("log_likelihood")
    evaluate(log_likelihood_samples=[5000] if requested == [] else requested, **options)
