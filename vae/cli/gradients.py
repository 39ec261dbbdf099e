"""The gradient report: every applicable estimator on one checkpoint and the same images.

Bias, variance, SNR, DSNR, cosine to the truth, time, memory and decoder evaluations, for the
parameters of q and for those of the encoder; as a table, JSON, CSV and a plot of variance against
cost.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor
from torch.distributions import Distribution

from vae.analysis.cost import cost
from vae.analysis.gradients import GROUPS, posterior_gradients, warm_up
from vae.analysis.moments import Moments, summarize
from vae.analysis.plots import pareto
from vae.cli.layers import LAYERS
from vae.cli.parser import checkpoint_parser
from vae.distributions.operations import base_of, describe
from vae.estimators import ESTIMATORS, Enumerate, Estimator, accepts, named
from vae.models.sizes import DECODINGS, assert_memory, floats_per_decoding
from vae.models.vae import VAE
from vae.objectives import ELBO, IWAE, Average, Objective
from vae.run.checkpoint import folder_of, load
from vae.run.files import writable, write_json
from vae.run.lock import is_running
from vae.run.record import command_line, find_device, hardware
from vae.run.restore import load_data
from vae.run.wandb import log_table

COLUMNS = {
    "label": "estimator",
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


DISCRETE = {"binary": "binary", "one_hot": "one-hot", "relaxed_one_hot": "relaxed one-hot"}
"""Families that are no one's names, in words."""


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
) -> list[dict[str, Any]]:
    """Compares gradient estimators at a checkpoint.

    Args:
        checkpoint: A .ckpt file or a run's folder; by default the newest run's best.
        estimators: Names; by default every one that is defined for the model and the objective.
            stl, which is pathwise under a closed-form KL, is measured under the Monte-Carlo one, with
            pathwise beside it.
        objective: elbo or iwae; the ELBO with the weight and the form of the KL term that the
            model was trained with.
        num_samples: K, by default 4; an estimator that needs more gets what it needs.
        match_evaluations: Give every estimator the K at which it evaluates the decoder this often
            an image, instead of num_samples; those that cannot are left out.
        images: Test images a batch.
        replicates: Estimates of each estimator.
        reference_replicates: Estimates in the average that stands for the truth where the latents
            are too many to enumerate.
        chunk: Estimates at a time; memory grows with it, and not with the number of replicates.
        warm_up_steps: Steps in which baselines and control variates learn, the model standing
            still.
        temperature: Of the relaxed estimators; by default the model's own, where it has one, or 1.
        device: cpu, cuda, or auto.
        output: Where to write, without suffix; by default gradients in the run's folder.
        seed: Every estimator starts from it, so that noise is common where it is drawn alike.
    """
    if num_samples is not None and match_evaluations is not None:
        raise ValueError("match_evaluations decides the numbers of samples: leave out num_samples")
    least = {"num_samples": num_samples, "match_evaluations": match_evaluations}
    for name, value in {**least, "images": images, "chunk": chunk}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    num_samples = 4 if num_samples is None else num_samples
    if replicates < 4 or reference_replicates < GROUPS or warm_up_steps < 0:
        raise ValueError(
            f"replicates must be at least 4, reference_replicates {GROUPS}, warm_up_steps 0"
        )
    unknown = set(estimators or []) - set(ESTIMATORS)
    if unknown:
        raise ValueError(
            f"unknown estimator {unknown.pop()!r}: choose from {', '.join(ESTIMATORS)}"
        )
    if objective not in ("elbo", "iwae"):
        raise ValueError(f"unknown objective {objective!r}: choose from elbo, iwae")
    samples = match_evaluations or num_samples
    estimates = max(replicates, reference_replicates, warm_up_steps)
    if (decoded := images * samples * estimates) > DECODINGS:
        raise ValueError(
            f"{decoded:,} decodings ({images} images, {samples} samples, {estimates} estimates or"
            " steps) would take weeks: give fewer"
        )
    device = find_device(device)
    module, contents, path = load(checkpoint)
    at_once = images * samples * min(chunk, estimates)
    assert_memory(4 * floats_per_decoding(module.vae) * at_once, f"a chunk of {chunk} estimates")
    stem = Path(output).expanduser() if output else folder_of(path) / "gradients"
    for suffix in ("json", "csv", "png"):
        writable(Path(f"{stem}.{suffix}"))
    vae = module.vae.to(device)
    data = load_data(contents)
    split = "test" if data.count("test") != 0 else data.held_out()
    pool = next(iter(data.loader(split, device=device, batch_size=max(images, 256))))
    x = pool[:images]
    if len(x) < images:
        raise ValueError(f"images must be at most {len(x)}, of which there are no more")
    trained = module.objective if isinstance(module.objective, ELBO) else ELBO()
    beta = float(trained.beta)
    names = list(dict.fromkeys(estimators or ESTIMATORS))
    given = temperature
    if temperature is None:
        found = [b for n, b in module.named_buffers() if n.rpartition(".")[2] == "temperature"]
        temperature = float(found[0]) if found else 1.0

    def make_objective(k: int, analytic_kl: bool = trained.analytic_kl) -> Objective:
        return IWAE(k) if objective == "iwae" else ELBO(k, beta, analytic_kl)

    chosen: dict[str, tuple[str, Estimator, Objective]] = {}
    unmatched: list[str] = []

    def choose(name: str, analytic_kl: bool) -> None:
        torch.manual_seed(seed)
        options = {"temperature": temperature} if accepts(name, "temperature") else {}
        estimator = named(name, options).to(device).eval()
        estimator.bind(vae)
        k = _samples(estimator, vae, x, num_samples, match_evaluations)
        if k is None:
            unmatched.append(name)
            return
        bound = make_objective(k, analytic_kl).to(device)
        try:
            _try(vae, bound, estimator, x)
            if twin := estimator.twin(bound):
                if objective == "elbo" and analytic_kl:
                    for other in (twin.name, name):  # where they differ
                        choose(other, False)
                    return
                raise ValueError(f"{name} is {twin.name} here, bit for bit: {twin.reason}")
        except (NotImplementedError, ValueError):
            if estimators:
                raise
            return
        label = f"{name}, Monte-Carlo KL" if analytic_kl < trained.analytic_kl else name
        chosen[label] = (name, estimator, bound)

    for name in names:
        choose(name, trained.analytic_kl)
    if unmatched and (estimators or not chosen):
        raise ValueError(
            f"no K gives {match_evaluations} evaluations to {', '.join(unmatched)}: leave them out,"
            " or match another number"
        )
    if not chosen:
        raise ValueError("no estimator is left: all are undefined for this model and objective")
    if given is not None and not any(accepts(n, "temperature") for n, *_ in chosen.values()):
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
        "objective": objective,
        "beta": beta if objective == "elbo" else None,
        "analytic_kl": trained.analytic_kl if objective == "elbo" else None,
        "temperature": temperature,
        "images": len(x),
        "replicates": replicates,
        "match_evaluations": match_evaluations,
        "seed": seed,
        "truth": "; ".join(truth.source for truth in truths.values()),
        "training": module.estimator.extra_name(),
        "hardware": hardware(device),
    }
    write(stem, about, rows)
    if (folder_of(path) / "run.json").exists() and not is_running(folder_of(path)):
        log_table(folder_of(path), "gradients", rows, Path(f"{stem}.png"))
    return rows


def in_words(vae: VAE, x: Tensor) -> str:
    """The latent variables, for a title."""
    names = {layer: name for name, layer in LAYERS.items()}
    name = names.get(type(vae.latent), "latent")
    name = DISCRETE.get(name, name.replace("_", " ").title())
    shape = vae.posterior(x[:1]).event_shape
    categories = f" of {shape[1]} categories" if len(shape) == 2 else ""
    return f"{shape[0]} {name} variables{categories}"


def _form(objective: Objective) -> str | None:
    """Of the KL; None where it is no term of the bound."""
    if not isinstance(objective, ELBO):
        return None
    return "analytic" if objective.analytic_kl else "monte_carlo"


def _same(row: dict[str, Any], rows: list[dict[str, Any]]) -> str | None:
    """The label of an earlier row with the same numbers: two names of one estimator, of this
    family."""
    keys = ("bias_squared", "variance", "encoder_variance")
    for other in rows:
        if all(math.isclose(row[key], other[key], rel_tol=1e-5) for key in keys):
            return str(other["label"])
    return None


def _draw(pool: Tensor, count: int) -> Tensor:
    return pool[torch.randint(len(pool), (count,), device=pool.device)]


def _try(vae: VAE, objective: Objective, estimator: Estimator, x: Tensor) -> None:
    """One evaluation: raises where the pair is undefined, and gives lazy layers their shape."""
    if isinstance(estimator, Enumerate):
        _assert_enumerable(vae, objective, x)
    for _ in posterior_gradients(vae, objective, estimator, x[:2], 2, 2, encoder=False):
        pass


def _samples(
    estimator: Estimator, vae: VAE, x: Tensor, num_samples: int, evaluations: int | None
) -> int | None:
    """K for an estimator: as asked, or that at which it evaluates the decoder so often."""
    if evaluations is None:
        return max(num_samples, estimator.min_samples)
    q = vae.posterior(x[:1])
    D, C = _sizes(q)
    if isinstance(estimator, Enumerate):
        return None
    for k in range(estimator.min_samples, evaluations + 1):
        if estimator.cost(k, D, C, type(base_of(q))) == evaluations:
            return k
    return None


MAX_DECODED, MAX_TUPLES = 2**16, 2**22
"""Latents to decode, and entries of tuples of K of them, that are enumerated at the most: a few
gigabytes."""


def _assert_enumerable(vae: VAE, objective: Objective, x: Tensor) -> None:
    """Raises where the exact gradient is not to be had in bounded memory."""
    q = vae.posterior(x[:1])
    D, C = _sizes(q)
    K = 1 if isinstance(objective, Average) else objective.num_samples
    if Enumerate().supports(q) and (
        D * math.log(C) > math.log(MAX_DECODED / len(x))
        or D * K * math.log(C) > math.log(MAX_TUPLES / K / len(x))
    ):
        raise ValueError(f"{C}^{D} configurations for {len(x)} images are too many to enumerate")


def _sizes(q: Distribution) -> tuple[int, int]:
    """Variables and categories."""
    shape = q.event_shape
    return (shape[0], shape[1]) if len(shape) == 2 else (shape[0], 2)


class Truth(NamedTuple):
    """Moments of the exact gradient, or of a long average, in q's and in the encoder's
    parameters."""

    moments: list[Moments]
    source: str


def true_gradient(
    vae: VAE, objective: Objective, x: Tensor, replicates: int, chunk: int, seed: int
) -> Truth:
    """By enumeration where it can be done, else the mean of a long run of an unbiased
    estimator."""
    torch.manual_seed(seed + 1)
    name, n = "enumerate", 1
    try:
        _try(vae, objective, Enumerate(), x)
    except (NotImplementedError, ValueError):
        unbiased = "rloo" if isinstance(objective, Average) else "vimco"
        name = unbiased if objective.num_samples > 1 else "reinforce"
        name = "pathwise" if vae.posterior(x[:1]).has_rsample else name
        n = replicates
    estimator = ESTIMATORS[name]()
    moments = [Moments(), Moments()]
    for parts in posterior_gradients(vae, objective, estimator, x, n, chunk):
        for m, g in zip(moments, parts, strict=True):
            assert g is not None
            m.add(g)
    source = f"{name}, {n} of K = {objective.num_samples}" if n > 1 else "enumeration"
    return Truth(moments, source)


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
    if isinstance(estimator, Enumerate):  # exact: all replicates are one
        replicates, chunk = 4, 1
    for parts in posterior_gradients(vae, objective, estimator, x, replicates, chunk):
        for m, g in zip(moments, parts, strict=True):
            assert g is not None
            m.add(g)
    row: dict[str, Any] = {"num_samples": objective.num_samples, "bias": estimator.bias}
    for prefix, m, t in zip(("", "encoder_"), moments, truth.moments, strict=True):
        summary = summarize(m, t)
        row |= {f"{prefix}{key}": value for key, value in summary._asdict().items()}
    return row | cost(vae, objective, estimator, x)._asdict()


def write(stem: Path, about: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Prints the table, and writes it as JSON, CSV and a plot."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_json(Path(f"{stem}.json"), about | {"rows": rows})
    with Path(f"{stem}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    form = {True: " with closed-form KL", False: " with Monte-Carlo KL", None: ""}
    bound = about["objective"].upper() + form[about["analytic_kl"]]
    title = f"{about['model']}, {bound}, {about['images']} images"
    table = Table(title=f"{title}, truth: {about['truth']}", title_justify="left")
    for header in COLUMNS.values():
        table.add_column(header, justify="left" if header == "estimator" else "right")
    table.add_column("")
    for row in rows:
        biased = "" if row["bias"] is None else "biased"
        table.add_row(*[_format(row[key]) for key in COLUMNS], biased)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    pareto(rows, f"Variance of the gradient: {title}", Path(f"{stem}.png"))
    print(f"written {stem}.json, .csv, .png")


def _format(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main(words: list[str], program: str) -> None:
    report(**vars(checkpoint_parser(report, program).parse_args(words)))
