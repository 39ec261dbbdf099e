"""Trains a configuration, or variants of one, with several seeds, and sums the runs up.

The summary has means, standard errors, and differences to the first variant, paired by seed. Each
run is an ordinary one in the study's folder. Started again, a study skips the runs that are done
and continues those that were cut short. Several seeds are trained at once where that is faster.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from vae.cli.arguments import named_configuration
from vae.cli.closing_report import report_of_several, wanted
from vae.cli.next_step import about
from vae.cli.parser import ScriptParser
from vae.cli.study_groups import plan, work
from vae.cli.study_runs import STOPPED, find, is_done, stop
from vae.cli.summary import print_summary
from vae.run.files import read_json, writable, write_json
from vae.run.folder import assert_name, runs_dir
from vae.run.plain_yaml import read_yaml
from vae.run.seed_statistics import summed_up

MOST = 10_000
"""Seeds of a study."""


def study(
    config: str,
    seeds: int = 5,
    name: str | None = None,
    options: dict[str, Any] | None = None,
    variants: dict[str, dict[str, Any]] | None = None,
    jobs: int = 1,
    output: str | None = None,
    first_seed: int = 0,
    together: bool | None = None,
    report: bool = True,
) -> dict[str, Any]:
    """Runs the study and writes its summary.

    Args:
        config: The configuration that all runs share, a YAML file of ``vae fit``, or
            the name of one of the package's.
        seeds: The number of seeds, from ``first_seed`` on.
        name: The study's folder in the folder of runs, and the W&B group; by default the
            configuration's name.
        options: Flags that all runs share, with their values.
        variants: Names, each with the flags that make it differ. The first is what the others are
            compared with.
        jobs: Runs at a time, each with its share of the processor's cores.
        output: Where to write the summary; by default summary.json in the study's folder.
        first_seed: The first seed.
        together: Whether a variant's seeds are trained at once, as ``vae train-many`` does. By
            default that is so from four seeds on, with one job, where the model can be: then it is
            faster.
        report: Whether report.html is written in the study's folder; its runs have none of their own,
            unless ``options`` say so.
    """
    if first_seed < 0:
        raise ValueError(f"first_seed must not be negative, got {first_seed}")
    if seeds < 1 or jobs < 1:
        raise ValueError(f"seeds and jobs must be at least 1, got {seeds} and {jobs}")
    if together and jobs > 1:
        raise ValueError(f"seeds trained at once are one job, got jobs {jobs}")
    if seeds > MOST:
        raise ValueError(f"seeds must be at most {MOST}, got {seeds}")
    path = Path(named_configuration(config))
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {config}")
    read_yaml(path)  # a mistake in it is said once, and not by each run
    plain = _plain(path.stem)
    name = name or plain
    variants = variants or {plain: {}}
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
    settings = {"config": path.read_text(encoding="utf-8"), "options": options or {}}
    flags = {
        label: _flags(
            {"report": False} | (options or {}) | own | {"name": f"{label}-seed", "group": name}
        )
        for label, own in variants.items()
    }
    for label, own in variants.items():
        _same_as_before(folder / f"{label}.json", settings | {"variant": own}, name)
    numbers = range(first_seed, first_seed + seeds)
    at_once = False if jobs > 1 else together
    todo = [task for label in variants for task in plan(folder, label, numbers, at_once)]
    todo.sort(key=lambda task: task.seeds)  # every variant's first seeds come first
    STOPPED.clear()
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(work, t, folder, path, flags[t.label], jobs) for t in todo]
        try:
            for job in waiting:
                job.result()
        except BaseException:
            stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failed = _failed(folder, variants, numbers)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(variants) * seeds} runs did not end: {', '.join(failed)};"
            f" their output is in {folder}/*.log; the same command goes on where they stopped"
        )
    summary = summarize(folder, name, settings | {"config": config}, variants, numbers, target)
    if wanted(report):
        report_of_several(folder)
    about(folder)
    return summary


def _plain(name: str) -> str:
    """A file's name as that of runs can be: without spaces and accented letters."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") or "study"


def _failed(folder: Path, labels: Iterable[str], seeds: range) -> list[str]:
    """The runs without results, and those that diverged beside others."""
    failed = []
    for seed in seeds:
        for label in labels:
            run = find(folder, label, seed)
            if run is None or not is_done(run):
                failed.append(f"{label} (seed {seed})")
            elif read_json(run / "results.json").get("diverged"):
                failed.append(f"{label} (seed {seed}, which diverged)")
    return failed


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


def summarize(
    folder: Path,
    name: str,
    settings: dict[str, Any],
    variants: dict[str, dict[str, Any]],
    seeds: range,
    path: Path,
) -> dict[str, Any]:
    """Sums up the runs of a study, prints a table, and writes it as JSON."""
    results: dict[str, list[dict[str, Any]]] = {}
    records: list[dict[str, Any]] = []
    for label in variants:
        found = [run for seed in seeds if (run := find(folder, label, seed))]
        results[label] = [_result(run) for run in found]
        records += [read_json(run / "run.json", hardware=str, torch=str) for run in found]
    first = next(iter(variants))
    every = [result["metrics"] for runs in results.values() for result in runs]
    metrics = list(dict.fromkeys(name for own in every for name in own))  # K may differ, or be 0
    if not metrics:
        raise ValueError("the data have no test images: the runs have no results to sum up")
    rows: dict[str, Any] = {label: {"flags": flags} for label, flags in variants.items()}
    for metric in metrics:
        values = {
            label: [run["metrics"].get(metric) for run in runs] for label, runs in results.items()
        }
        for label, row in summed_up(values).items():
            rows[label][metric] = row
    for label, runs in results.items():
        rows[label]["steps"] = runs[0]["steps"]
        rows[label]["seconds"] = round(mean(r["seconds"] for r in runs), 1)
    summary = {
        "study": name,
        "config": settings["config"],
        "options": settings["options"],
        "seeds": len(seeds),
        "first_seed": seeds.start,
        "binarization": results[first][0]["binarization"],
        "compared_with": first,
        "hardware": records[0]["hardware"],
        "torch": records[0]["torch"],
        "git": records[0]["git"],
        "variants": rows,
    }
    write_json(path, summary)
    number = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
    print_summary(f"{name}: mean ± standard error over {number}", rows, metrics)
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
