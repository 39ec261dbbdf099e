"""Trains a configuration, or several variants of one, with several seeds, and sums them up: mean,
standard error, and differences paired by seed. Needs no account.

Each run is an ordinary one in the study's own folder. Started again, a study skips the runs that
are done and continues those that were cut short.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from vae.cli.parser import ScriptParser
from vae.run.files import read_json, writable, write_json
from vae.run.folder import assert_name, runs_dir
from vae.run.plain_yaml import read_yaml
from vae.run.state import can_go_on

MOST = 10_000
"""Seeds of a study."""

TRAIN = [sys.executable, "-m", "vae", "fit"]
"""The command that trains one run."""

RUNNING: set[subprocess.Popen[bytes]] = set()
STOPPED = threading.Event()
"""The processes of a study, and whether it was told to end."""


def study(
    config: str,
    seeds: int = 5,
    name: str | None = None,
    options: dict[str, Any] | None = None,
    variants: dict[str, dict[str, Any]] | None = None,
    jobs: int = 1,
    output: str | None = None,
    first_seed: int = 0,
) -> dict[str, Any]:
    """Runs the study and writes its summary.

    Args:
        config: The configuration that all runs share, a YAML file of ``vae fit``, or the name of one of its own.
        seeds: How many, from ``first_seed`` on.
        name: The study's folder in the folder of runs, and the W&B group; by default the
            configuration's name.
        options: Flags that all runs share, with their values.
        variants: Names, each with the flags that make it differ. The first is what the others are
            compared with.
        jobs: Runs at a time, each with its share of the processor's cores.
        output: Where to write the summary; by default summary.json in the study's folder.
        first_seed: The first seed.
    """
    if first_seed < 0:
        raise ValueError(f"first_seed must not be negative, got {first_seed}")
    if seeds < 1 or jobs < 1:
        raise ValueError(f"seeds and jobs must be at least 1, got {seeds} and {jobs}")
    if seeds > MOST:
        raise ValueError(f"seeds must be at most {MOST}, got {seeds}")
    path = Path(config)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {config}")
    read_yaml(path)  # what is wrong in it is no matter of each run
    name = name or path.stem
    variants = variants or {path.stem: {}}
    for label in (name, *variants):
        assert_name(f"{label}-seed{first_seed + seeds - 1}")
        if label.startswith("."):
            raise ValueError(
                f"name {label!r}: letters, digits, '_' or '-' at the beginning, please"
            )
    if "summary" in variants:
        raise ValueError("a variant cannot be called summary: summary.json is the study's")
    folder = runs_dir() / name
    target = writable(Path(output) if output else folder / "summary.json")
    settings = {"config": path.read_text(), "options": options or {}}
    flags = {
        label: _flags((options or {}) | own | {"name": f"{label}-seed", "group": name})
        for label, own in variants.items()
    }
    for label, own in variants.items():
        _same_as_before(folder / f"{label}.json", settings | {"variant": own}, name)
    numbers = range(first_seed, first_seed + seeds)
    todo = [(label, seed) for seed in numbers for label in variants]
    STOPPED.clear()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(run, folder, path, label, seed, flags[label], jobs) for label, seed in todo
        ]
        try:
            runs = [job.result() for job in waiting]
        except BaseException:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failed = [
        f"{label} (seed {seed})" for (label, seed), r in zip(todo, runs, strict=True) if not r
    ]
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(todo)} runs did not end: {', '.join(failed)};"
            f" their output is in {folder}/*.log; the same command goes on where they stopped"
        )
    return summarize(folder, name, settings | {"config": config}, variants, numbers, target)


def _flags(options: dict[str, Any]) -> list[str]:
    words = {key: "null" if value is None else str(value) for key, value in options.items()}
    return [word for key, value in words.items() for word in (f"--{key}", value)]


def _same_as_before(path: Path, settings: dict[str, Any], name: str) -> None:
    if not path.exists():
        write_json(path, settings)
    elif read_json(path) != settings:
        raise ValueError(
            f"study {name} was begun with other settings (see {path}): give another name"
        )


def find(folder: Path, label: str, seed: int) -> Path | None:
    """The newest folder of a variant's run with this seed."""
    name = re.compile(rf"\d+-\d+-{re.escape(label)}-seed{seed}-[0-9a-z]+")
    found = [p for p in folder.glob("*") if name.fullmatch(p.name) and p.is_dir()]
    return max(found, default=None)


def run(
    folder: Path, config: Path, label: str, seed: int, flags: list[str], jobs: int
) -> Path | None:
    """One run, by ``vae fit`` in a process of its own; None if it did not end."""
    before = find(folder, label, seed)
    if before and (before / "results.json").exists():
        return before
    flags = [f"{word}{seed}" if word == f"{label}-seed" else word for word in flags]
    command = [*TRAIN, "--config", str(config), *flags]
    command += ["--seed_everything", str(seed)]
    if before and can_go_on(before):
        command += ["--ckpt_path", str(before)]
    threads = max(1, len(os.sched_getaffinity(0)) // jobs)
    # A vae.py in the current folder is not this package.
    environment = os.environ | {"VAE_RUNS_DIR": str(folder), "PYTHONSAFEPATH": "1"}
    if jobs > 1:
        environment |= {"OMP_NUM_THREADS": str(threads)}
    if STOPPED.is_set():
        return None
    print(f"{label}, seed {seed}{' (continued)' if '--ckpt_path' in command else ''}", flush=True)
    with (folder / f"{label}-seed{seed}.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    RUNNING.add(process)
    if STOPPED.is_set():  # meanwhile
        process.terminate()
    code = process.wait()
    RUNNING.discard(process)
    after = find(folder, label, seed)
    return after if code == 0 and after and (after / "results.json").exists() else None


def stop() -> None:
    """Ends the runs that are being trained, which save; no other is begun."""
    STOPPED.set()
    for process in list(RUNNING):
        process.terminate()  # of one that has Ctrl-C already, nothing changes


def summarize(
    folder: Path,
    name: str,
    settings: dict[str, Any],
    variants: dict[str, dict[str, Any]],
    seeds: range,
    path: Path,
) -> dict[str, Any]:
    """Means and standard errors over seeds, and of the differences to the first variant by seed;
    prints them and writes them as JSON."""
    results: dict[str, list[dict[str, Any]]] = {}
    records: list[dict[str, Any]] = []
    for label in variants:
        found = [find(folder, label, seed) for seed in seeds]
        results[label] = [_result(path) for path in found if path]
        records += [
            read_json(path / "run.json", hardware=str, torch=str) for path in found if path
        ]
    metrics = list(next(iter(results.values()))[0]["metrics"])
    if not metrics:
        raise ValueError("the data have no test images: the runs have no results to sum up")
    first = next(iter(variants))
    rows: dict[str, Any] = {}
    for label, runs in results.items():
        row: dict[str, Any] = {"flags": variants[label]}
        for metric in metrics:
            values = [r["metrics"][metric] for r in runs]
            base = [r["metrics"][metric] for r in results[first]]
            row[metric] = statistics(values) | {"values": values}
            if label != first:
                gaps = [a - b for a, b in zip(values, base, strict=True)]
                row[metric]["difference"] = statistics(gaps)
        row["steps"] = runs[0]["steps"]
        row["seconds"] = round(mean(r["seconds"] for r in runs), 1)
        rows[label] = row
    summary = {
        "study": name,
        "config": settings["config"],
        "options": settings["options"],
        "seeds": len(seeds),
        "first_seed": seeds.start,
        "binarization": next(iter(results.values()))[0]["binarization"],
        "compared_with": first,
        "hardware": records[0]["hardware"],
        "torch": records[0]["torch"],
        "git": records[0]["git"],
        "variants": rows,
    }
    write_json(path, summary)
    show(summary, metrics)
    print(f"written {path}")
    return summary


def _result(run: Path) -> dict[str, Any]:
    """``results.json`` of a run that has ended."""
    path, number = run / "results.json", (int, float)
    result = read_json(
        path, metrics=dict, steps=int, seconds=number, binarization=(str, type(None))
    )
    if not all(isinstance(value, number) for value in result["metrics"].values()):
        raise ValueError(f"{path} has metrics that are no numbers: it was edited; delete it")
    return result


def statistics(values: list[float]) -> dict[str, float | None]:
    """Mean and its standard error; no error of a single value."""
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return {"mean": round(mean(values), 4), "se": None if error is None else round(error, 4)}


def show(summary: dict[str, Any], metrics: list[str]) -> None:
    """The summary as a table."""
    first, seeds = summary["compared_with"], summary["seeds"]
    title = f"{summary['study']}: mean ± standard error over {seeds} seed{'s' * (seeds > 1)}"
    table = Table("variant", *metrics, title=title, title_justify="left")
    if len(summary["variants"]) > 1:
        table.add_column(f"{metrics[0]}, minus {first}'s, paired")
    for label, row in summary["variants"].items():
        cells = [text(row[metric]) for metric in metrics]
        if len(summary["variants"]) > 1:
            cells.append(text(row[metrics[0]].get("difference")))
        table.add_row(label, *cells)
    Console(highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def text(value: dict[str, float | None] | None) -> str:
    """A mean and its standard error, for people."""
    if value is None:
        return "-"
    error = "" if value["se"] is None else f" ± {value['se']:.2f}"
    return f"{value['mean']:.2f}{error}"


def main(words: list[str], program: str) -> None:
    parser = ScriptParser(prog=program, description=__doc__)
    parser.add_argument("--study", action="config", help="A YAML file of these arguments.")
    parser.add_function_arguments(study)
    arguments = vars(parser.parse_args(words))
    arguments.pop("study")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        study(**arguments)
    except (KeyboardInterrupt, SystemExit) as error:
        if STOPPED.is_set():
            print("interrupted; the same command goes on from here", file=sys.stderr)
        raise SystemExit(getattr(error, "code", 130)) from None
