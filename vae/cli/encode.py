"""Writes the codes of a split, with labels where the data have them, to an .npz file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.reading import checkpoint_to_read
from vae.run.checkpoint import folder_of, load


def encode(
    checkpoint: str | None = None,
    output: str | None = None,
    split: Literal["train", "val", "test"] = "test",
    limit: int | None = None,
    batch_size: int = 500,
    device: str = "auto",
    seed: int = 0,
    data: Any = None,
) -> Path:
    """Encodes images: z, a sample of q(z|x), its mean, q's parameters, the code that the decoder reads.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The .npz to write; by default codes-SPLIT.npz in the run's folder.
        split: The images to encode, in the order of the data's files.
        limit: Only the first so many images.
        batch_size: Images at a time. The sample z follows from it and the seed.
        device: cpu, cuda, or auto.
        seed: The seed of the samples z.
        data: Other data than those trained on: a data module, as --data mine.MyData.
    """
    if batch_size < 1 or (limit is not None and limit < 1):
        raise ValueError("numbers of images and batches must be at least 1")
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    with uncollected():
        import torch
        from rich.progress import track

        from vae.data.labels import labelled_batches
        from vae.data.load import load_images
        from vae.data.loader import mix_seeds
        from vae.distributions.operations import describe
        from vae.evaluation.encoding import encode
        from vae.evaluation.terms import fixed_noise
        from vae.models.memory import assert_memory, floats_per_decoding
        from vae.run.npz import NpzWriter, writable_npz
        from vae.run.record import find_device

    module, contents, _ = load(path)
    where = torch.device(find_device(device))
    vae = module.vae.to(where).hard
    other_data = None if data is None else type(data).__name__
    data = load_images(contents, data)
    images = data.count(split)
    if images == 0:
        others = [each for each in ("test", "val", "train") if data.count(each) != 0]
        raise ValueError(f"the model's data have no {split} images: use --split {others[0]}")
    assert_memory(4 * floats_per_decoding(vae) * batch_size, f"encoding {batch_size} images")
    few = f"-{limit}-images" if limit is not None and (images is None or limit < images) else ""
    name = "-".join(("codes", split, *([other_data] if other_data else []))) + f"{few}.npz"
    target = writable_npz(Path(output) if output else folder_of(path) / name)
    about: dict[str, Any] = {
        "checkpoint": str(path),
        "step": contents.get("global_step"),
        "split": split,
        "binarization": data.binarization,
        "pixels": data.pixels,
        "seed": seed,
        "batch_size": batch_size,
    }
    said = []
    try:
        if data.labels(split, 1) is None:
            said.append(
                "labels are left out: the data have none, or not one whole number an image"
            )
    except FileNotFoundError as error:
        said.append(f"labels are left out: {error}")
    batches: Iterable[tuple[torch.Tensor, torch.Tensor | None]]
    if said:
        batches = ((x, None) for x in data.loader(split, where, False, batch_size, limit))
    else:
        batches = labelled_batches(data, split, where, batch_size, limit)
    number = None if images is None else -(-min(images, limit or images) // batch_size)
    done, family, shapes = 0, "", {}
    with NpzWriter(target) as file:
        shown = not sys.stderr.isatty()
        for x, labels in track(batches, "encoding", total=number, disable=shown):
            with fixed_noise(x.device, mix_seeds(seed, done)):
                found = encode(vae, x)
            if labels is not None:
                found["labels"] = labels
            file.append({key: value.cpu().numpy() for key, value in found.items()})
            shapes = {key: ", ".join(map(str, value.shape[1:])) for key, value in found.items()}
            family, done = describe(vae.posterior(x[:1])), done + len(x)
        if not done:
            raise ValueError(f"the model's data serve no {split} images")
        about |= {"images": done, "posterior": family}
        if other_data:
            about["data"] = other_data
        file.about = json.dumps(about)
    for key in file.dropped:
        shapes.pop(key, None)
    if "mean" not in shapes:
        said.append(f"mean is left out: {family} does not define E_q[z]")
    if not shapes.keys() - {"z", "code", "mean", "labels"}:
        said.append(f"the parameters of q are left out: {family} does not name them")
    print(f"{done} {split} images, {data.pixels}, seed {seed}")
    print(
        *(f"  {key:<8} ({done}{', ' * bool(shape)}{shape})" for key, shape in shapes.items()),
        sep="\n",
    )
    print(*said, f"checkpoint  {path}\nwritten     {target}", sep="\n")
    return target


def main(words: list[str], program: str) -> None:
    encode(**data_parser(encode, program, words).arguments(words))
