"""The gradient report: every applicable estimator on one checkpoint and the same images.

Bias, variance, SNR, DSNR, cosine to the truth, time, memory and decoder evaluations, for the
parameters of q and for those of the encoder; as a table, JSON, CSV and a plot of variance against
cost.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from vae import tracking
from vae.checkpoints import folder_of, load, load_data
from vae.cli import checkpoint_parser, one_line_errors
from vae.distributions import describe
from vae.estimators import ESTIMATORS, Estimator, build
from vae.gradients import Moments, cost, posterior_gradients, summarize, warm_up
from vae.model import VAE
from vae.objectives import ELBO, IWAE, Objective
from vae.plots import pareto

COLUMNS = {
    "estimator": "estimator",
    "num_samples": "K",
    "evaluations": "evals",
    "bias_squared": "bias²",
    "bias_error": "± se",
    "variance": "variance",
    "snr": "SNR",
    "dsnr": "DSNR",
    "cosine": "cosine",
    "encoder_variance": "enc. var.",
    "encoder_snr": "enc. SNR",
    "encoder_cosine": "enc. cos.",
    "milliseconds": "ms",
    "megabytes": "MB",
}


def report(
    checkpoint: str | None = None,
    estimators: list[str] | None = None,
    objective: str = "elbo",
    num_samples: int = 4,
    match_evaluations: int | None = None,
    images: int = 16,
    replicates: int = 1000,
    reference_replicates: int = 20_000,
    chunk: int = 50,
    warm_up_steps: int = 300,
    device: str = "auto",
    output: str | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Compares gradient estimators at a checkpoint.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        estimators: Names; by default every one that is defined for the model and the objective.
        objective: elbo or iwae.
        num_samples: K; an estimator that needs more gets what it needs.
        match_evaluations: Give every estimator the K at which it evaluates the decoder this often
            an image, instead of num_samples; those that cannot are left out.
        images: Test images a batch.
        replicates: Estimates of each estimator.
        reference_replicates: Estimates in the average that stands for the truth where the latents
            are too many to enumerate.
        chunk: Estimates at a time; memory grows with it, and not with the number of replicates.
        warm_up_steps: Steps in which baselines and control variates learn, the model standing
            still.
        device: cpu, cuda, or auto.
        output: Where to write, without suffix; by default gradients in the run's folder.
        seed: Every estimator starts from it, so that noise is common where it is drawn alike.
    """
    for name, value in (("num_samples", num_samples), ("images", images), ("chunk", chunk)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if replicates < 2 or reference_replicates < 2:
        raise ValueError("replicates and reference_replicates must be at least 2")
    unknown = set(estimators or []) - set(ESTIMATORS)
    if unknown:
        raise ValueError(
            f"unknown estimator {unknown.pop()!r}: choose from {', '.join(ESTIMATORS)}"
        )
    if objective not in ("elbo", "iwae"):
        raise ValueError(f"unknown objective {objective!r}: choose from elbo, iwae")
    device = tracking.find_device(device)
    module, contents, path = load(checkpoint)
    vae = module.vae.to(device)
    data = load_data(contents)
    pool = next(iter(data.loader("test", device=device, batch_size=max(images, 256))))
    x = pool[:images]

    def make_objective(k: int) -> Objective:
        return IWAE(k) if objective == "iwae" else ELBO(k)

    chosen: dict[str, tuple[Estimator, Objective]] = {}
    for name in estimators or ESTIMATORS:
        torch.manual_seed(seed)
        estimator = build(name, {}, prior=vae.prior).to(device).eval()
        k = _samples(estimator, vae, x, num_samples, match_evaluations)
        if k is None:
            continue
        bound = make_objective(k).to(device)
        try:
            _try(vae, bound, estimator, x)
        except (NotImplementedError, ValueError):
            if estimators:
                raise
            continue
        chosen[name] = (estimator, bound)
    if not chosen:
        raise ValueError("no estimator is left: all are undefined for this model and objective")

    # Under an average the expectation is the same for every K, and more samples an estimate cost
    # less than more estimates.
    truths: dict[int, Truth] = {}
    rows = []
    with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("truth", total=len(chosen))
        for name, (estimator, bound) in chosen.items():
            k = 8 if bound.linear else bound.num_samples
            if k not in truths:
                reference = make_objective(k).to(device)
                truths[k] = true_gradient(vae, reference, x, reference_replicates, chunk, seed)
            bar.update(task, description=name)
            torch.manual_seed(seed)
            warm_up(vae, bound, estimator, lambda: _draw(pool, images), warm_up_steps)
            torch.manual_seed(seed)
            row = measure(vae, bound, estimator, x, truths[k], replicates, chunk)
            rows.append({"estimator": name} | row)
            bar.advance(task)
    stem = Path(output) if output else folder_of(path) / "gradients"
    about = {
        "checkpoint": str(path),
        "family": describe(vae.posterior(x[:1])),
        "objective": objective,
        "images": len(x),
        "replicates": replicates,
        "match_evaluations": match_evaluations,
        "seed": seed,
        "truth": "; ".join(truth.source for truth in truths.values()),
        "training": contents["hyper_parameters"].get("estimator"),
        "hardware": tracking.hardware(device),
    }
    write(stem, about, rows)
    if (folder_of(path) / "run.json").exists():
        tracking.log_table(folder_of(path), "gradients", rows, stem.with_suffix(".png"))
    return rows


def _draw(pool: Tensor, count: int) -> Tensor:
    return pool[torch.randint(len(pool), (count,), device=pool.device)]


def _try(vae: VAE, objective: Objective, estimator: Estimator, x: Tensor) -> None:
    """One evaluation: raises where the pair is undefined, and gives lazy layers their shape."""
    for _ in posterior_gradients(vae, objective, estimator, x[:2], 2, 2, encoder=False):
        pass


def _samples(
    estimator: Estimator, vae: VAE, x: Tensor, num_samples: int, evaluations: int | None
) -> int | None:
    """K for an estimator: as asked, or that at which it evaluates the decoder so often."""
    if evaluations is None:
        return max(num_samples, estimator.min_samples)
    q = vae.posterior(x[:1])
    shape = q.event_shape
    D, C = (shape[0], shape[1]) if len(shape) == 2 else (shape[0], 2)
    if "S" in estimator.evaluations_for(q):
        return None
    for k in range(estimator.min_samples, evaluations + 1):
        if eval(estimator.evaluations_for(q), {"K": k, "D": D, "C": C}) == evaluations:
            return k
    return None


class Truth(NamedTuple):
    """Moments of the exact gradient, or of a long average, in q's and in the encoder's
    parameters."""

    moments: list[Moments]
    exact: bool
    source: str


def true_gradient(
    vae: VAE, objective: Objective, x: Tensor, replicates: int, chunk: int, seed: int
) -> Truth:
    """By enumeration where it can be done, else the mean of a long run of an unbiased
    estimator."""
    torch.manual_seed(seed + 1)
    name, n = "enumerate", 1
    try:
        _try(vae, objective, ESTIMATORS[name](), x)
    except (NotImplementedError, ValueError):
        name = "pathwise" if vae.posterior(x[:1]).has_rsample else "rloo"
        n = replicates
    estimator = ESTIMATORS[name]()
    moments = [Moments(), Moments()]
    for parts in posterior_gradients(vae, objective, estimator, x, n, chunk):
        for m, g in zip(moments, parts, strict=True):
            assert g is not None
            m.add(g)
    source = f"{name}, {n} of K = {objective.num_samples}" if n > 1 else "enumeration"
    return Truth(moments, n == 1, source)


def measure(
    vae: VAE,
    objective: Objective,
    estimator: Estimator,
    x: Tensor,
    truth: Truth,
    replicates: int,
    chunk: int,
) -> dict[str, Any]:
    """A row of the report."""
    moments = [Moments(m.mean) for m in truth.moments]
    for parts in posterior_gradients(vae, objective, estimator, x, replicates, chunk):
        for m, g in zip(moments, parts, strict=True):
            assert g is not None
            m.add(g)
    row: dict[str, Any] = {"num_samples": objective.num_samples, "bias": estimator.bias}
    for prefix, m, t in zip(("", "encoder_"), moments, truth.moments, strict=True):
        noise = None if truth.exact else t.variance / t.count
        summary = summarize(m, t.mean, noise)
        row |= {f"{prefix}{key}": value for key, value in summary._asdict().items()}
    return row | cost(vae, objective, estimator, x)._asdict()


def write(stem: Path, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Prints the table, and writes it as JSON, CSV and a plot."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    tracking.write_json(stem.with_suffix(".json"), about | {"rows": rows})
    with stem.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    title = f"{about['family']}, {about['objective']}, {about['images']} images, truth: {about['truth']}"
    table = Table(title=title, title_justify="left")
    for header in COLUMNS.values():
        table.add_column(header, justify="left" if header == "estimator" else "right")
    for row in rows:
        table.add_row(*[_format(row[key]) for key in COLUMNS])
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    pareto(rows, f"{about['family']}, {about['objective']}", stem.with_suffix(".png"))
    print(f"written {stem}.json, .csv, .png")


def _format(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    with one_line_errors():
        report(**vars(checkpoint_parser(report).parse_args()))
