"""What is made of a trained run later, on the run's page in W&B: under the run's own id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vae.run.lock import is_running
from vae.run.wandb_mode import prepare_wandb, wandb_id

__all__ = ["has_page", "log_images", "log_summary", "log_table"]


def has_page(run: Path) -> bool:
    """Whether a folder is that of a run that W&B knows, and nobody trains now."""
    known = (run / "run.json").exists() and (run / "wandb").is_dir()
    return known and os.environ.get("WANDB_MODE") != "disabled" and not is_running(run)


@contextmanager
def _page(run: Path) -> Iterator[Any]:
    """The page, open; None where W&B is disabled."""
    mode = prepare_wandb(run)
    if mode == "disabled":
        yield None
        return
    import wandb

    with wandb.init(
        project=os.environ.get("WANDB_PROJECT") or "vae",
        id=wandb_id(run),
        dir=str(run),
        mode=mode,  # type: ignore[arg-type]
        resume="allow",
    ) as page:
        yield page


def log_table(run: Path, name: str, rows: list[dict[str, Any]], figure: Path) -> None:
    """Adds a table and its figure to a run's page.

    Arguments:
        run: The run's folder.
        name: What the table is called there.
        rows: Column names to values, every row with the same columns.
        figure: A PNG.
    """
    with _page(run) as page:
        if page is not None:
            import wandb

            table = wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
            page.log({name: table, f"{name}/figure": wandb.Image(str(figure))})


def log_images(run: Path, images: Mapping[str, Path]) -> None:
    """Adds pictures, PNG files by their names there, to a run's page."""
    with _page(run) as page:
        if page is not None:
            import wandb

            page.log({name: wandb.Image(str(path)) for name, path in images.items()})


def log_summary(run: Path, values: Mapping[str, float | int | str]) -> None:
    """Adds values to the summary of a run's page."""
    with _page(run) as page:
        if page is not None:
            page.summary.update(dict(values))
