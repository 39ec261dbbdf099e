"""What the verbs that draw a checkpoint's model share: what they read, and where a picture goes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae.run.checkpoint import folder_of
from vae.run.files import writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from vae.data.source import Batches, ImageSource
    from vae.models.vae import VAE

__all__ = ["Sitter", "at_least", "sitter", "write"]

BATCH = 500
"""Images at a time, where many are encoded."""


def at_least(least: int, **numbers: int | None) -> None:
    """Raises a ValueError if a number is smaller."""
    for name, value in numbers.items():
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")


@dataclass
class Sitter:
    """A model that is to be drawn, and its images, which are loaded when they are first asked for.

    Attributes:
        vae: With hard latents, in evaluation mode, on ``device``.
        device: Where.
        checkpoint: Its path.
        target: The picture to write.
        contents: The checkpoint's.
        given_data: Other data than the checkpoint's, or None.
        given_split: The images to draw, or None.
    """

    vae: VAE
    device: str
    checkpoint: Path
    target: Path
    contents: dict[str, Any]
    given_data: Any
    given_split: str | None

    @cached_property
    def data(self) -> ImageSource:
        """Its images."""
        import torch

        from vae.data.load import load_images

        with torch.random.fork_rng(devices=[]):  # what is drawn is the same with and without them
            return load_images(self.contents, self.given_data)

    @cached_property
    def split(self) -> str:
        """Those to draw: by default the test images, or what else is held out."""
        if self.given_split is None:
            return "test" if self.data.count("test") != 0 else self.data.held_out()
        if self.data.count(self.given_split) == 0:
            raise ValueError(
                f"the model's data have no {self.given_split} images: use another --split"
            )
        return self.given_split

    def first(self, count: int) -> Tensor:
        """The first images of the split, at most so many."""
        return next(iter(self.data.loader(self.split, device=self.device, batch_size=count)))

    def batches(self, count: int | None) -> Batches:
        """The first so many images, or all."""
        return self.data.loader(self.split, device=self.device, batch_size=BATCH, limit=count)

    def labels(self, count: int) -> Tensor | None:
        """The classes of the first so many images; None, and a line, where there are none."""
        try:
            labels = self.data.labels(self.split, count)
        except FileNotFoundError as error:
            print(f"without classes: {error}")
            return None
        if labels is None:
            print("without classes: the data have no labels")
        return labels

    def assert_memory(self, codes: int) -> None:
        """Raises a MemoryError if so many codes cannot be decoded at once."""
        from vae.models.memory import assert_memory, floats_per_decoding

        assert_memory(16 * floats_per_decoding(self.vae) * codes, f"decoding {codes} codes")

    def write(self, figure: Figure, name: str, words: str) -> Path:
        """Writes the picture, says so, and puts it on the run's page in W&B."""
        print(self.checkpoint)
        write(figure, self.target, words, name, folder_of(self.checkpoint))
        return self.target


def sitter(
    path: Path,
    name: str,
    output: str | None = None,
    split: str | None = None,
    data: Any = None,
    device: str = "auto",
    seed: int = 0,
    images: bool = True,
) -> Sitter:
    """Reads a checkpoint and its data, once it is known that the picture can be written.

    Arguments:
        path: The checkpoint.
        name: What the picture is called in the run's folder of images.
        output: The picture to write instead.
        split: Of the data; by default the test images, or what else is held out.
        data: Other data than the checkpoint's.
        device: cpu, cuda, or auto.
        seed: Of all that is drawn from here on.
        images: Whether the picture needs images; without, there need be none.
    """
    import torch

    from vae.pictures.style import picture_file
    from vae.run.checkpoint import load
    from vae.run.record import find_device

    default = folder_of(path) / "images" / f"{name}.png"
    target = writable(picture_file(Path(output).expanduser() if output else default))
    module, contents, _ = load(path)
    device = find_device(device)
    vae = module.vae.to(device).hard
    found = Sitter(vae, device, path, target, contents, data, split)
    if images:
        _ = found.split
    torch.manual_seed(seed)
    return found


def write(figure: Figure, target: Path, words: str, name: str, run: Path | None) -> None:
    """Writes a picture and says so; one of a run that W&B knows goes to the run's page too.

    Arguments:
        figure: The picture.
        target: Where it goes.
        words: What it is of.
        name: What W&B calls it.
        run: The run's folder; None of several runs.
    """
    from vae.pictures.style import save, to_png
    from vae.run.wandb_page import has_page, log_images

    save(figure, target)
    print(f"{words}: {target}")
    if run is None or not has_page(run):
        return
    png = target.suffix.lower() == ".png"  # W&B shows no PDF
    log_images(run, {f"pictures/{name}": target.read_bytes() if png else to_png(figure)})
