"""The gradient report: every applicable estimator on one checkpoint and the same images.

Bias, variance, SNR, DSNR, cosine to the truth, time, memory and decoder evaluations, for the
parameters of q and for those of the encoder; as a table, JSON, CSV and a picture.
"""

from __future__ import annotations

import copy
import math
import sys
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor

from vae.analysis.candidates import candidates
from vae.analysis.gradients import GROUPS, warm_up
from vae.analysis.truth import Truth, measure, true_gradient
from vae.cli.gradients_table import data_in_words, in_words, write
from vae.cli.parser import data_parser
from vae.cli.reading import checkpoint_to_read
from vae.data.load import load_images
from vae.distributions.operations import describe
from vae.estimators import ESTIMATORS, SURROGATES, accepts
from vae.evaluation.terms import closed_kl
from vae.models.memory import DECODINGS, assert_memory, floats_per_decoding
from vae.nearest import meant
from vae.objectives import ELBO, IWAE, OBJECTIVES, Average, Objective, Separate
from vae.run.checkpoint import folder_of, load
from vae.run.files import writable
from vae.run.lock import is_running
from vae.run.record import command_line, find_device, hardware
from vae.run.wandb_page import log_table


def report(
    checkpoint: str | None = None,
    estimators: list[str] | None = None,
    objective: str = "elbo",
    num_samples: int | None = None,
    match_evaluations: int | None = None,
    images: int = 16,
    replicates: int = 1000,
    reference_replicates: int = 20_000,
    chunk: int = 50,
    warm_up_steps: int = 300,
    temperature: float | None = None,
    device: str = "auto",
    output: str | None = None,
    seed: int = 0,
    data: Any = None,
    pdf: bool = False,
) -> list[dict[str, Any]]:
    """Compares gradient estimators at a checkpoint.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        estimators: Names, or class paths of your own; by default every one that is defined for the
            model and the objective.
            stl, which is pathwise under a closed-form KL, is measured under the Monte-Carlo one, with
            pathwise beside it.
        objective: elbo or iwae; the ELBO with the weight and the form of the KL term that the
            model was trained with. Or trained: what the model was trained by, with its K.
        num_samples: K, the samples of z for each image; by default 4; an estimator that needs more gets what it needs.
        match_evaluations: Give every estimator the K at which it evaluates the decoder this often
            an image, instead of num_samples; those that cannot are left out.
        images: The number of test images; the gradient is that of their mean bound.
        replicates: The number of estimates by each estimator.
        reference_replicates: The number of unbiased estimates whose mean stands for the exact
            gradient, where the latents are too many to enumerate.
        chunk: Estimates at a time; memory grows with it, and not with the number of replicates.
        warm_up_steps: Steps in which baselines and control variates learn, the model standing
            still.
        temperature: The temperature of the relaxed estimators; by default the model's own, where
            it has one, or 1.
        device: cpu, cuda, or auto.
        output: Where to write, without suffix; by default gradients in the run's folder.
        seed: The seed that every estimator starts from, so that those that draw alike share noise.
        data: Other data than those trained on: a data module, as --data mine.MyData.
        pdf: Whether to write the picture as PDF too, beside PNG.
    """
    if replicates < 4 or reference_replicates < GROUPS or warm_up_steps < 0:
        raise ValueError(
            f"replicates must be at least 4, reference_replicates {GROUPS}, warm_up_steps 0"
        )
    _assert_sensible(estimators, objective, num_samples, match_evaluations, images, chunk)
    given_samples, num_samples = num_samples, 4 if num_samples is None else num_samples
    samples = match_evaluations or num_samples
    estimates = max(replicates, reference_replicates, warm_up_steps)
    if (decoded := images * samples * estimates) > DECODINGS:
        raise ValueError(
            f"{decoded:,} decodings ({images} images, {samples} samples, {estimates} estimates or"
            " steps) would take weeks: give fewer"
        )
    device = find_device(device)
    module, contents, path = load(checkpoint_to_read(checkpoint))
    at_once = images * samples * min(chunk, estimates)
    assert_memory(4 * floats_per_decoding(module.vae) * at_once, f"a chunk of {chunk} estimates")
    stem = Path(output).expanduser() if output else folder_of(path) / "gradients"
    for suffix in ("json", "csv", "png", *(["pdf"] if pdf else [])):
        writable(Path(f"{stem}.{suffix}"))
    vae = module.vae.to(device)
    data = load_images(contents, data)
    split = "test" if data.count("test") != 0 else data.held_out()
    pool = next(iter(data.loader(split, device=device, batch_size=max(images, 256))))
    x = pool[:images]
    if len(x) < images:
        raise ValueError(f"images must be at most {len(x)}, of which there are no more")
    with torch.no_grad():
        closed = closed_kl(vae, vae.posterior(x)) is not None
    trained = module.objective if isinstance(module.objective, ELBO) else ELBO(analytic_kl=closed)
    beta = float(trained.beta)
    own: Objective | None = None
    if objective == "trained":
        own = _of_q(module.objective)
        if given_samples is not None or match_evaluations is not None:
            raise ValueError(
                "the objective that was trained has its own num_samples: leave it out"
            )
        num_samples = own.num_samples
        if type(own) in OBJECTIVES.values():
            objective = next(name for name, kind in OBJECTIVES.items() if kind is type(own))
    given = temperature
    if temperature is None:
        found = [b for n, b in module.named_buffers() if n.rpartition(".")[2] == "temperature"]
        temperature = float(found[0]) if found else 1.0

    def make_objective(k: int, analytic_kl: bool = trained.analytic_kl) -> Objective:
        if objective == "trained" and own is not None:
            return copy.deepcopy(own)
        return IWAE(k) if objective == "iwae" else ELBO(k, beta, analytic_kl)

    chosen = candidates(
        vae,
        x,
        make_objective,
        trained.analytic_kl,
        estimators,
        num_samples,
        match_evaluations,
        temperature,
        seed,
    )
    takers = [c.name for c in chosen.values() if "." not in c.name]
    if given is not None and not any(accepts(name, "temperature") for name in takers):
        raise ValueError(f"{', '.join(chosen)}: none has a temperature, leave it out")

    # Under an average the expectation is the same for every K, and more samples an estimate cost
    # less than more estimates.
    truths: dict[int, Truth] = {}
    rows: list[dict[str, Any]] = []
    with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("truth", total=len(chosen))
        for label, (name, estimator, bound) in chosen.items():
            k = 8 if isinstance(bound, Average) else bound.num_samples
            if k not in truths:
                reference = make_objective(k).to(device)
                truths[k] = true_gradient(vae, reference, x, reference_replicates, chunk, seed)
            bar.update(task, description=label)
            torch.manual_seed(seed)
            warm_up(vae, bound, estimator, lambda: _draw(pool, images), warm_up_steps)
            torch.manual_seed(seed)
            row = measure(vae, bound, estimator, x, truths[k], replicates, chunk)
            rows.append(
                {"estimator": name, "label": label}
                | {"kl": _form(bound), "same_as": _same(row, rows)}
                | row
            )
            bar.advance(task)
    for row in rows:
        if row["same_as"]:
            row["label"] += f" = {row['same_as']}"
    about = {
        "checkpoint": str(path),
        "step": contents.get("global_step"),
        "command": command_line(),
        "model": in_words(vae, x),
        "family": describe(vae.posterior(x[:1])),
        "objective": type(own).__name__ if own and objective == "trained" else objective,
        "bounds": make_objective(num_samples).bounds,
        "beta": beta if objective == "elbo" else None,
        "analytic_kl": trained.analytic_kl if objective == "elbo" else None,
        "temperature": temperature,
        "data": data_in_words(data),
        "split": split,
        "num_samples": num_samples,
        "images": len(x),
        "replicates": replicates,
        "match_evaluations": match_evaluations,
        "seed": seed,
        "truth": "; ".join(truth.source for truth in truths.values()),
        "training": module.estimator.extra_name(),
        "hardware": hardware(device),
    }
    write(stem, about, rows, pdf)
    if (folder_of(path) / "run.json").exists() and not is_running(folder_of(path)):
        log_table(folder_of(path), "gradients", rows, Path(f"{stem}.png"))
    return rows


def _assert_sensible(
    estimators: list[str] | None,
    objective: str,
    num_samples: int | None,
    match_evaluations: int | None,
    images: int,
    chunk: int,
) -> None:
    if num_samples is not None and match_evaluations is not None:
        raise ValueError("match_evaluations decides the numbers of samples: leave out num_samples")
    least = {"num_samples": num_samples, "match_evaluations": match_evaluations}
    for name, value in {**least, "images": images, "chunk": chunk}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    for name in estimators or []:
        if name not in ESTIMATORS | SURROGATES and "." not in name:
            names = list(ESTIMATORS | SURROGATES)
            raise ValueError(
                f"unknown estimator {name!r}{meant(name, names)}: choose from {', '.join(names)},"
                " or give a class path"
            )
    if objective not in (*OBJECTIVES, "trained"):
        known = ", ".join((*OBJECTIVES, "trained"))
        raise ValueError(f"unknown objective {objective!r}: choose from {known}")


def _of_q(objective: Objective) -> Objective:
    """What q was trained by, whose gradient estimators differ in."""
    return objective.for_q if isinstance(objective, Separate) else objective


def _form(objective: Objective) -> str | None:
    """The form of the KL term; None of a bound that has none."""
    if not isinstance(objective, ELBO):
        return None
    return "analytic" if objective.analytic_kl else "monte_carlo"


def _same(row: dict[str, Any], rows: list[dict[str, Any]]) -> str | None:
    """The label of an earlier row with the same numbers: two estimators are one for this family."""
    keys = ("bias_squared", "variance", "encoder_variance")
    for other in rows:
        if all(math.isclose(row[key], other[key], rel_tol=1e-5) for key in keys):
            return str(other["label"])
    return None


def _draw(pool: Tensor, count: int) -> Tensor:
    return pool[torch.randint(len(pool), (count,), device=pool.device)]


def main(words: list[str], program: str) -> None:
    report(**data_parser(report, program, words).arguments(words))
