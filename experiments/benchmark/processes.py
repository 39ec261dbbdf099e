"""Whole commands, started alternately: what a person waits for, and processor time."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.rounds import summary

__all__ = ["Command", "Times", "alternately", "measure"]


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        words: The program and its arguments.
        folder: Where it runs; by default here.
        environment: Variables besides those of this process.
        before: Called before each start.
    """

    words: list[str]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None


class Times(NamedTuple):
    """Seconds: by the clock, and of processors, those of child processes included."""

    wall: float
    cpu: float


def measure(name: str, command: Command) -> Times:
    """Runs a command once, without output.

    Raises:
        ValueError: If it fails, with the last line of what it says.
    """
    command.before()
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env=os.environ | dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise ValueError(f"{name} failed: {(lines or ['it says nothing'])[-1]}")
    return Times(wall, usage.ru_utime + usage.ru_stime)


def alternately(
    commands: Mapping[str, Command], rounds: int, reference: str
) -> dict[str, dict[str, Any]]:
    """Runs all commands in turn, some rounds, and sums up each.

    One that fails in the first round is left out, and a line says why.

    Arguments:
        commands: By name.
        rounds: How often each runs.
        reference: The one to whose wall time, in the same round, ratios are.

    Returns:
        Of each: ``wall`` and ``cpu`` in seconds, and ``ratio``; medians and quartiles.

    Raises:
        ValueError: If the reference fails, or a command that had worked before.
    """
    times: dict[str, list[Times]] = {}
    for round_ in range(rounds):
        for name, command in commands.items():
            if round_ and name not in times:
                continue
            try:
                times.setdefault(name, []).append(measure(name, command))
            except ValueError as error:
                if round_ or name == reference:
                    raise
                del times[name]
                print(f"left out: {error}", flush=True)
    return {
        name: {
            "wall": summary([t.wall for t in own]),
            "cpu": summary([t.cpu for t in own]),
            "ratio": summary(
                [a.wall / b.wall for a, b in zip(own, times[reference], strict=True)]
            ),
        }
        for name, own in times.items()
    }
