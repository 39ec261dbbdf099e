"""What must be the same when a run is continued: else it would be another run under its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae.run.plain_yaml import read_yaml

__all__ = ["FREE", "FREE_OF_TRAINER", "assert_same_run"]


FREE = frozenset(
    "model data trainer seed_everything ckpt_path group tags image_every"
    " checkpoint_every_n_steps checkpoint_every_n_minutes".split()
)
"""Options that may differ, or that are compared with the checkpoint itself."""

FREE_OF_TRAINER = frozenset(
    "max_epochs min_epochs max_steps min_steps max_time accelerator strategy callbacks logger"
    " log_every_n_steps enable_checkpointing enable_progress_bar enable_model_summary profiler"
    " default_root_dir detect_anomaly deterministic benchmark inference_mode barebones plugins"
    " num_sanity_val_steps limit_test_batches limit_predict_batches val_check_interval"
    " check_val_every_n_epoch fast_dev_run".split()
)
"""Those of the trainer: how long, on what kind of device, what is shown and when it is judged."""


def assert_same_run(folder: Path, options: Mapping[str, Any]) -> None:
    """Refuses to continue a run otherwise than it was begun.

    Arguments:
        folder: The run's, with its ``config.yaml``; without one there is nothing to compare.
        options: As a mapping of mappings.

    Raises:
        ValueError: If an option differs that changes what is trained, or on how many processes.
    """
    path = folder / "config.yaml"
    if not path.exists():
        return
    before = read_yaml(path)
    _assert_same(path, "", before, options, FREE)
    _assert_same(path, "trainer.", before.get("trainer"), options["trainer"], FREE_OF_TRAINER)


def _assert_same(
    path: Path, prefix: str, before: Any, asked: Mapping[str, Any], free: frozenset[str]
) -> None:
    for name, value in (before if isinstance(before, dict) else {}).items():
        if name in asked and name not in free and _plain(name, value) != _plain(name, asked[name]):
            raise ValueError(
                f"{prefix}{name} was {value} in {path}, not {asked[name]}: that would be another"
                " run; leave it as it was, or train anew"
            )


def _plain(name: str, value: Any) -> str:
    """Equal for what the trainer takes as equal."""
    if name == "precision" and value in (None, 32, "32"):
        return "32-true"
    return "1.0" if name.startswith("limit_") and value is None else str(value)
