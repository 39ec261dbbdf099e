"""The seeds of a study that are trained at once: ``vae train-many`` in a process of its own.

At once, a seed takes less time than alone, from about four seeds on (README.md, "Many models at
once"). A group that was cut short goes on where it stopped, and what cannot be trained at once is
trained one after the other.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vae.cli.study_runs import STOPPED, find, is_done, run, train
from vae.run.lock import record_of
from vae.run.state import can_go_on

__all__ = ["LEAST", "Task", "plan", "work"]


TRAIN_MANY = [sys.executable, "-m", "vae", "train-many"]
"""The command that trains several seeds at once."""

LEAST = 4
"""Seeds from which it is faster to train them at once."""

MOST_AT_ONCE = 16
"""Seeds of a group: with more, a seed takes no less time, and more memory."""


class Task(NamedTuple):
    """What one process trains.

    Attributes:
        label: The variant.
        seeds: Its seeds; several are trained at once.
        group: The folder of a group that was cut short.
    """

    label: str
    seeds: tuple[int, ...]
    group: Path | None = None


def plan(folder: Path, label: str, seeds: Sequence[int], together: bool | None) -> list[Task]:
    """How what is missing of a variant's seeds is trained.

    Arguments:
        folder: The study's.
        label: The variant.
        seeds: All of its seeds.
        together: Whether at once; None: where that is faster.
    """
    missing = [seed for seed in seeds if not is_done(find(folder, label, seed))]
    tasks: list[Task] = []
    if together is not False:
        tasks += _cut_short(folder, label, missing)
        begun = {seed for task in tasks for seed in task.seeds}
        least = 2 if together else LEAST
        fresh = [s for s in missing if s not in begun and not _is_begun(find(folder, label, s))]
        tasks += [Task(label, some) for some in _stretches(fresh) if len(some) >= least]
    planned = {seed for task in tasks for seed in task.seeds}
    return tasks + [Task(label, (seed,)) for seed in missing if seed not in planned]


def work(task: Task, folder: Path, config: Path, flags: list[str], jobs: int) -> list[Path | None]:
    """Trains what a task says; the run of each seed, None if it did not end."""
    label, seeds, group = task
    if len(seeds) == 1 and group is None:
        return [run(folder, config, label, seeds[0], flags, jobs)]
    words = [label if word == f"{label}-seed" else word for word in flags]
    words += ["--seeds", str(len(seeds)), "--seed_everything", str(seeds[0])]
    if group:
        words += ["--ckpt_path", str(group)]
    what = f"{label}, seeds {seeds[0]} to {seeds[-1]} at once{' (continued)' if group else ''}"
    log = folder / f"{label}-seeds{seeds[0]}-{seeds[-1]}.log"
    before = _groups(folder, label)
    code = train([*TRAIN_MANY, "--config", str(config), *words], folder, what, log, jobs)
    if code == 2 and _groups(folder, label) == before and not STOPPED.is_set():
        said = log.read_text(encoding="utf-8").strip().rpartition("\n")[2].removeprefix("error: ")
        print(f"{label}: its seeds are trained one after the other ({said})", flush=True)
        return [run(folder, config, label, seed, flags, jobs) for seed in seeds]
    found = [find(folder, label, seed) for seed in seeds]
    return [one if code == 0 and is_done(one) else None for one in found]


def _cut_short(folder: Path, label: str, missing: Sequence[int]) -> list[Task]:
    """The groups that go on, of seeds that are all missing."""
    tasks: list[Task] = []
    for group in reversed(_groups(folder, label)):
        names = record_of(group / "run.json").get("runs", [])
        seeds = tuple(int(found[1]) for n in names if (found := re.search(r"-seed(\d+)-", n)))
        taken = {seed for task in tasks for seed in task.seeds}
        if seeds and set(seeds) <= set(missing) - taken and can_go_on(group):
            tasks.append(Task(label, seeds, group))
    return tasks


def _groups(folder: Path, label: str) -> list[Path]:
    """The folders of a variant's groups, the newest at the end."""
    name = re.compile(rf"\d+-\d+-{re.escape(label)}-x\d+-[0-9a-z]+")
    return sorted(p for p in folder.glob("*") if name.fullmatch(p.name) and p.is_dir())


def _is_begun(run: Path | None) -> bool:
    """Whether a run was begun alone, and can go on."""
    return run is not None and can_go_on(run)


def _stretches(seeds: Sequence[int]) -> list[tuple[int, ...]]:
    """Seeds in groups of neighbours, none larger than a group may be."""
    found: list[list[int]] = []
    for seed in seeds:
        if found and found[-1][-1] == seed - 1 and len(found[-1]) < MOST_AT_ONCE:
            found[-1].append(seed)
        else:
            found.append([seed])
    return [tuple(some) for some in found]
