"""What is made of a trained run later, on the run's page in W&B: under the run's own id.

A page has a picture once: one that is drawn again and looks the same is not sent again. Where W&B cannot
be reached, a line says so; what was made is in the run's folder in any case.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vae.run.files import read_json, write_json
from vae.run.lock import is_running
from vae.run.wandb_mode import prepare_wandb, wandb_id

__all__ = ["has_page", "log_images", "log_summary", "log_table", "note_sent", "unsent"]


SENT = "wandb/pictures.json"
"""In a run's folder: the pictures that its page has, by name, each with its SHA-256."""


def has_page(run: Path) -> bool:
    """Whether a folder is that of a run that W&B knows, nobody trains now, and we may write to."""
    known = (run / "run.json").exists() and os.access(run / "wandb", os.R_OK | os.W_OK | os.X_OK)
    return known and os.environ.get("WANDB_MODE") != "disabled" and not is_running(run)


def _sent(run: Path) -> dict[str, Any]:
    try:
        return read_json(run / SENT) if (run / SENT).is_file() else {}
    except (OSError, ValueError):
        return {}  # then they are sent again


def unsent(run: Path, pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    """The pictures that a run's page does not have, or of which it has another state."""
    sent = _sent(run)
    return {k: png for k, png in pictures.items() if sent.get(k) != _digest(png)}


def note_sent(run: Path, pictures: Mapping[str, bytes]) -> None:
    """Notes that a run's page has these pictures."""
    if (run / SENT).parent.is_dir():  # a page of the run's own
        write_json(run / SENT, _sent(run) | {k: _digest(png) for k, png in pictures.items()})


def _digest(png: bytes) -> str:
    return hashlib.sha256(png).hexdigest()


def _log(run: Path, add: Callable[[Any], None]) -> bool:
    """Opens the page and adds something; whether that was done.

    What goes wrong in W&B is a warning. Nothing is added where W&B is disabled.
    """
    mode = prepare_wandb(run)
    if mode == "disabled":
        return False
    import wandb

    try:
        with wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "vae",
            id=wandb_id(run),
            dir=str(run),
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
        ) as page:
            add(page)
    except Exception as error:  # W&B's own are of several kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: it is not on the run's page in W&B ({reason})", file=sys.stderr)
        return False
    return True


def log_table(run: Path, name: str, rows: list[dict[str, Any]], figure: Path) -> None:
    """Adds a table and its figure to a run's page.

    Arguments:
        run: The run's folder.
        name: What the table is called there.
        rows: Column names to values, every row with the same columns.
        figure: A PNG, ``NAME/figure`` there.
    """

    def add(page: Any) -> None:
        import wandb

        table = wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
        page.log({name: table, f"{name}/figure": wandb.Image(str(figure))})

    if _log(run, add):
        note_sent(run, {f"{name}/figure": figure.read_bytes()})


def log_images(run: Path, pictures: Mapping[str, bytes]) -> None:
    """Adds pictures, PNG by their names there, to a run's page, those that it does not have."""
    new = unsent(run, pictures)

    def add(page: Any) -> None:
        import wandb
        from PIL import Image

        page.log({name: wandb.Image(Image.open(io.BytesIO(png))) for name, png in new.items()})

    if new and _log(run, add):
        note_sent(run, new)


def log_summary(run: Path, values: Mapping[str, float | int | str]) -> None:
    """Adds values to the summary of a run's page."""
    _log(run, lambda page: page.summary.update(dict(values)))
