"""What speed should be, and whether it is: each target beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from benchmark.models import MODELS

__all__ = ["Target", "targets"]

WALL = {
    ("4", "test_samples 0"): 0.45,
    ("4", "test_samples 100"): 0.65,
    ("10", "test_samples 0"): 0.4,
}
"""The largest wall time of whole commands, as a ratio to that of pytorch/examples."""

STARTUP = {"sample": 1.6, "fit, to its first step": 3.0}
"""The longest start, as a ratio to importing torch."""

TOGETHER = {"4": 1.5, "16": 2.5}
"""The least speed of S models at once, as a ratio to one after the other by ``vae fit``."""


class Target(NamedTuple):
    """One target.

    Attributes:
        what: What is compared with what.
        wanted: The bound.
        most: Whether it is the largest that is allowed, and not the smallest.
        found: Median and quartiles, or a quotient of medians alone.
    """

    what: str
    wanted: float
    most: bool
    found: Mapping[str, float]

    @property
    def met(self) -> bool:
        median = self.found["median"]
        return median <= self.wanted if self.most else median >= self.wanted

    @property
    def margin(self) -> str:
        """By how much it is met or missed, in percent of the target."""
        percent = 100 * abs(self.found["median"] / self.wanted - 1)
        return f"{'met' if self.met else 'missed'} by {percent:.0f} %"


def targets(result: Mapping[str, Any]) -> list[Target]:
    """All targets whose part was measured."""
    found = [*_models(result.get("models", {}))]
    for (epochs, samples), most in WALL.items():
        rows = result.get("commands", {}).get(epochs, {})
        ours = [n for n in rows if n.startswith("fit") and samples in n and "cold" not in n]
        ours = [n for n in ours if n.endswith(samples)]
        if ours:
            best = min(ours, key=lambda name: rows[name]["ratio"]["median"])
            what = f"{epochs} epochs as a whole command ({best}): wall time to pytorch/examples'"
            found.append(Target(what, most, True, rows[best]["ratio"]))
    for S, least in TOGETHER.items():
        if fastest := _together(result, S):
            what = f"{S} models at once ({fastest[0]}) to one after the other by `vae fit`"
            found.append(Target(what, least, False, fastest[1]["ratio_to_fit"]))
    for name, most in STARTUP.items():
        if row := result.get("startup", {}).get(name):
            found.append(Target(f"{name}: time to `import torch`", most, True, row["ratio"]))
    return found + [*_gpu(result)]


def _together(result: Mapping[str, Any], S: str) -> tuple[str, Mapping[str, Any]] | None:
    """The faster way to train S models at once, and its row."""
    many = result.get("many", {})
    rows = {way: many[way][S] for way in ("eager", "compiled") if S in many.get(way, {})}
    return max(rows.items(), key=lambda kv: kv[1]["ratio"]["median"]) if rows else None


def _models(models: Mapping[str, Any]) -> Iterator[Target]:
    for name, model in models.items():
        ways = [way for way in ("fit", "fit_bound", "fit_step") if way in model["loops"]]
        if ways:
            ratios = {way: model["loops"][way]["ratio"] for way in ways}
            best = max(ways, key=lambda way: ratios[way]["median"])
            what = f"{model['title']}, batch {model['batch_size']}: `{best}` to the raw loop"
            yield Target(what, MODELS[name].target, False, ratios[best])


def _gpu(result: Mapping[str, Any]) -> Iterator[Target]:
    loops = result.get("models", {}).get("gaussian", {}).get("loops", {})
    captured = [loops[way] for way in ("fit_capture", "fit_capture_step") if way in loops]
    if captured:
        speed = max(row["images_per_second"]["median"] for row in captured)
        for row, least in (("raw_graph", 0.8), ("tutorial", 10.0)):
            if row in loops:
                quotient = speed / loops[row]["images_per_second"]["median"]
                yield Target(f"`fit_capture` to {row}", least, False, {"median": quotient})
    if fastest := _together(result, "64"):
        times = {"median": 64 / fastest[1]["ratio_to_fit"]["median"]}
        yield Target("64 models at once: time to that of one", 4.0, True, times)
