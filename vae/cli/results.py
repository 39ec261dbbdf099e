"""A run's results: ``results.json``, and the table that is printed at the run's end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from vae.cli.table import print_table
from vae.data.loader import StepLoader
from vae.data.source import ImageSource
from vae.evaluation.words import in_words
from vae.run.here import vae_here
from vae.training.module import VAEModule

__all__ = ["epochs_trained", "results_of", "show_results", "training_of", "without_log_likelihood"]


def epochs_trained(trainer: Trainer) -> int | float:
    """The number of epochs trained; a fraction where ``max_steps`` ended inside one."""
    loader, steps = trainer.train_dataloader, trainer.global_step
    if not isinstance(loader, StepLoader) or not loader.total:
        return trainer.current_epoch
    whole = steps % loader.total == 0
    return steps // loader.total if whole else round(steps / loader.total, 2)


def results_of(metrics: Mapping[str, float], errors: Mapping[str, Any]) -> dict[str, Any]:
    """What ``results.json`` says of the test.

    Arguments:
        metrics: The test's means.
        errors: Their standard errors, and the number of images
            (:func:`vae.training.callbacks.standard_errors.with_errors`).
    """
    return {"metrics": {name: round(value, 4) for name, value in metrics.items()}, **errors}


def training_of(
    model: VAEModule,
    data: ImageSource,
    epochs: int | float,
    steps: int,
    seconds: float,
    test_seconds: float,
) -> dict[str, Any]:
    """What ``results.json`` says beside the metrics."""
    return {
        "epochs": epochs,
        "steps": steps,
        "seconds": round(seconds, 1),
        "test_seconds": round(test_seconds, 1),
        "binarization": data.binarization,
        "objective": f"{type(model.objective).__name__}: {model.objective.bounds}",
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def without_log_likelihood(run: Path) -> str:
    """What is said where the test left log p(x) out."""
    return (
        "log p(x) was not estimated (test_samples 0); to estimate it:"
        f" {vae_here()} evaluate {shlex.quote(str(run))} --log_likelihood 100"
    )


def show_results(
    results: Mapping[str, Any], run: Path, checkpoint: Path, data: ImageSource, model: VAEModule
) -> None:
    """Prints the results of a run.

    Arguments:
        results: The content of ``results.json``.
        run: The run's folder.
        checkpoint: The one that was tested.
        data: What it was trained and tested on.
        model: What was trained.
    """
    metrics, epochs, seconds = (results[name] for name in ("metrics", "epochs", "seconds"))
    if metrics:
        errors, images = results.get("standard_errors", {}), results.get("images", 0)
        rows = {
            name: in_words({"mean": value, "se": errors[name]})
            if name in errors
            else f"{value:.2f}"
            for name, value in metrics.items()
        }
        over = f": mean ± standard error over {images:,} images" if errors else ""
        print_table(f"test set, {data.pixels}{over}", rows)
    if metrics and model.vae.likelihood.binary and not data.is_binary:
        print(
            "grey pixels under a Bernoulli likelihood: these are cross-entropies, not bounds on"
            " log p(x)"
        )
    if metrics and not model.test_samples:
        print(without_log_likelihood(run))
    compiled = f", {model.compile_seconds:.0f} s of it to compile the step"
    before = compiled if model.compile_seconds >= 0.5 else ""
    test = f"; the test took {results['test_seconds']:.1f} s" if metrics else ""
    print(
        f"{epochs} epoch{'s' * (epochs != 1)} in {seconds:.0f} s{before}"
        f" ({seconds / max(1, epochs):.2f} s an epoch, validation included){test}"
    )
    if checkpoint.exists():  # a run without a step has none
        print(f"checkpoint  {checkpoint}")
    print(f"run folder  {run}")
