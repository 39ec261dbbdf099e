"""Makes a page on which a model is moved by hand: one file, opened in any browser, offline."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vae.cli.imports import uncollected
from vae.cli.parser import data_parser
from vae.cli.picture import BATCH, at_least
from vae.cli.reading import checkpoint_to_read
from vae.run.checkpoint import folder_of, load
from vae.run.files import writable

if TYPE_CHECKING:
    from vae.pages.explorer.gather import Images

IMAGES, KL_IMAGES = 20, 1000


def explore(
    checkpoint: str | None = None,
    output: str | None = None,
    images: int | None = None,
    kl_images: int | None = None,
    encoder: bool = True,
    onnx: bool = False,
    seed: int = 0,
    split: Literal["train", "val", "test"] | None = None,
    data: Any = None,
) -> Path:
    """Writes a page on which codes are dragged, images drawn and encoded, and decoded at once.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        output: The page to write, an .html; by default explorer.html in the run's folder.
        images: The number of images to choose from, by default 20; 0 for a page that needs no data.
        kl_images: The number of images over which the KL is averaged, by default 1000.
        encoder: Whether the page can encode images; without, it is half as large.
        onnx: Whether to write decoder.onnx beside it (and encoder.onnx, if the page has an encoder),
            for other programs; it needs the extra onnx.
        seed: Of samples of the prior, and of a KL without closed form.
        split: The images; by default the test images.
        data: Other data than those trained on: a data module, as --data mine.MyData.
    """
    _assert_used(images, kl_images, encoder, split, data)
    path = checkpoint_to_read(checkpoint)  # before the imports, which take a second
    target = Path(output).expanduser() if output else folder_of(path) / "explorer.html"
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"unknown file extension: {target.suffix or 'none'}; use .html")
    target = writable(target)
    with uncollected():
        import torch

        from vae.pages.explorer import explorer, gather
        from vae.pages.explorer.size import advice
        from vae.pages.networks import NetworkError
        from vae.pages.networks.onnx import assert_onnx, write_onnx
        from vae.whole_files import replace_text

    if onnx:
        assert_onnx()
    model, contents, _ = load(path)
    torch.manual_seed(seed)
    print(path)
    chosen, binarization, why = _images(
        contents, IMAGES if images is None else images, kl_images or KL_IMAGES, split, data
    )
    with _notes():
        try:
            held = gather(model, folder_of(path).name, binarization, chosen, encoder, why)
        except NetworkError:
            if onnx:  # what a page cannot run, other programs may
                write_onnx(model.vae, target.parent, encoder)
            raise
        written = write_onnx(model.vae, target.parent, encoder) if onnx else []
    if encoder and held["encoder"] is None:
        print(held["whyNoEncoder"])
    replace_text(target, explorer(held))
    for file in written:
        print(f"ONNX: {file}")
    size = target.stat().st_size
    print(f"explorer, {size / 1e6:.2f} MB: {target}")
    if said := advice(held, size):
        print(said)
    print("open it in a browser: it needs no network")
    return target


def _assert_used(
    images: int | None, kl_images: int | None, encoder: bool, split: str | None, data: Any
) -> None:
    """Refuses numbers that are none, and options that would change nothing."""
    if images is not None and not 0 <= images <= 100:
        raise ValueError(f"images must be 0 to 100, got {images}")
    at_least(1, kl_images=1 if kl_images is None else kl_images)
    if images == 0 and (data is not None or split is not None):
        raise ValueError(
            "--images 0 takes none, and --data and --split would say which: drop them"
        )
    if images == 0 and kl_images is not None:
        raise ValueError("--images 0 takes none, and --kl_images would say how many: drop it")
    if images and not encoder:
        raise ValueError(
            "a page without its encoder has no images to choose from: drop --images or --encoder false"
        )


@contextmanager
def _notes() -> Iterator[None]:
    """What warns in here is said in a line each."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(w.message) for w in heard if w.category is UserWarning):
        print(f"note: {text}")


def _images(
    contents: Mapping[str, Any], count: int, kl_images: int, split: str | None, data: Any
) -> tuple[Images | None, str | None, str]:
    """Images for the page, how pixels are binarised, and why there are no images."""
    from vae.data.load import load_images
    from vae.pages.explorer.gather import Images

    spec = contents["vae"].get("data") or {}
    binarization = spec.get("init_args", {}).get("binarization")
    if count == 0:
        return None, binarization, "none were asked for (--images 0)"
    try:
        source = load_images(contents, data)
    except (FileNotFoundError, ValueError) as error:
        if data is not None or split is not None:
            raise
        print(f"without images to choose from: {error}")
        return None, binarization, "the data were not there when this page was made"
    if split is None:
        split = "test" if source.count("test") != 0 else source.held_out()
    elif source.count(split) == 0:
        raise ValueError(f"the model's data have no {split} images: use another --split")
    x = next(iter(source.loader(split, batch_size=count, limit=count)))
    try:
        labels = source.labels(split, len(x))
    except FileNotFoundError:
        labels = None
    many = source.loader(split, batch_size=BATCH, limit=kl_images)
    return Images(x, labels, many, f"{split} images"), source.binarization, ""


def main(words: list[str], program: str) -> None:
    explore(**data_parser(explore, program, words).arguments(words))
