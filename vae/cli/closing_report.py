"""The report that training ends with: what goes wrong in it is one line, and changes nothing else."""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae.cli.errors import clear
from vae.run.here import vae_here

if TYPE_CHECKING:
    from vae.data.source import ImageSource
    from vae.pages.report.pictures import Picture
    from vae.training.module import VAEModule

__all__ = ["ClosingReport", "report_of_several", "wanted"]


def wanted(option: bool) -> bool:
    """Whether a report is written: as the option says, unless ``VAE_REPORT`` is false."""
    return option and os.environ.get("VAE_REPORT", "").lower() not in ("false", "0")


class ClosingReport:
    """A run's ``report.html``, drawn from the model in memory.

    Arguments:
        run: The run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.failed = run, False
        self.pictures: list[Picture] = []
        self.bound: str | None = None

    def draw(
        self, model: VAEModule, data: ImageSource, checkpoint: Path, loggers: Sequence[Any]
    ) -> None:
        """Draws the pictures, and puts them on the run's page in W&B, which is still open.

        Arguments:
            model: With the weights that were tested.
            data: Its images.
            checkpoint: The one that was tested.
            loggers: The run's.
        """

        def pictures() -> None:
            from vae.pages.report.pictures import drawn
            from vae.pages.report.subject import subject_of

            training, device = model.vae.training, next(model.parameters()).device
            vae = model.vae.cpu().eval()
            try:
                subject = subject_of(vae, data, checkpoint.name)
                self.pictures, self.bound = drawn(subject, {}), subject.bound
            finally:
                model.vae.to(device).train(training)
            self._log(loggers)

        self._attempt(pictures)

    def _log(self, loggers: Sequence[Any]) -> None:
        from lightning.pytorch.loggers import WandbLogger
        from PIL import Image

        from vae.pages.report.contents import contents
        from vae.pages.report.sent import to_send
        from vae.run.wandb_page import note_sent, unsent

        pages = [logger for logger in loggers if isinstance(logger, WandbLogger)]
        if not pages:
            return
        new = unsent(self.run, to_send(contents(self.run), self.pictures))
        for name, png in new.items():
            for logger in pages:
                logger.log_image(name, [Image.open(io.BytesIO(png))])
        if not any(getattr(logger, "lost", False) for logger in pages):
            note_sent(self.run, new)

    def write(self) -> None:
        """Writes the page, of what is now in the run's folder; prints where it is."""

        def page() -> None:
            from vae.pages.report.contents import contents
            from vae.pages.report.single import single
            from vae.whole_files import replace_text

            path = self.run / "report.html"
            replace_text(path, single(contents(self.run), self.pictures, self.bound))
            print(f"report      {path}")

        if not self.failed:
            self._attempt(page)

    def _attempt(self, work: Callable[[], None]) -> None:
        self.failed = not attempt(work, self.run)


def attempt(work: Callable[[], None], folder: Path) -> bool:
    """Does a part of a report; returns whether it was done, and says in one line if not."""
    try:
        work()
    except Exception as error:  # no error of a picture's may end a run
        how = f"{vae_here()} report {shlex.quote(str(folder))}"
        print(f"no report was written ({clear(error)}); to try again: {how}", file=sys.stderr)
        return False
    return True


def report_of_several(folder: Path) -> None:
    """Writes the report of a study's or a group's runs; prints where it is."""

    def page() -> None:
        from vae.pages.report.several import several
        from vae.run.history import histories
        from vae.whole_files import replace_text

        path = folder / "report.html"
        replace_text(path, several([folder], histories([folder])))
        print(f"report {path}")

    attempt(page, folder)
