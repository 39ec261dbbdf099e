"""Memory and time of log p(x) by K samples, against K: memory is flat, and time is linear.

Each K has a process of its own, whose peak memory is that of the whole process. The model has the
size of the default checkpoints.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import math
from pathlib import Path
from typing import Any

import torch
from benchmark.importance import LATENTS
from benchmark.memory import alone
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vae.cli.errors import one_line_errors
from vae.cli.parser import ScriptParser
from vae.run.files import writable, write_json
from vae.run.record import find_device, hardware
from vae.whole_files import replacing

RESULT = Path(__file__).parent / "results" / "evaluation_cost.json"
COUNTS = [1, 10, 100, 1_000, 5_000, 10_000, 50_000]


def evaluation_cost(
    samples: list[int] = COUNTS,
    decodings: int = 100_000,
    rounds: int = 3,
    device: str = "auto",
    output: str = str(RESULT),
) -> dict[str, Any]:
    """Measures each K, prints a table, and writes a JSON and a plot beside it.

    Args:
        samples: Values of K.
        decodings: The most in a round, images times samples, beyond one image's.
        rounds: How often each is timed; the median counts.
        device: cpu, cuda, or auto.
        output: The JSON to write; the plot has the same name with .png.

    Raises:
        ValueError: If a number is less than 1.
    """
    if min([decodings, rounds, *samples], default=0) < 1 or not samples:
        raise ValueError("samples, decodings and rounds must be at least 1")
    if Path(output).suffix != ".json":
        raise ValueError(f"output {output} must end in .json: the plot takes its name from it")
    path, device = writable(Path(output)), find_device(device)
    result: dict[str, Any] = {
        "hardware": hardware(device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "decodings": decodings,
        "models": {},
    }
    print(f"{'model':26}{'K':>8}{'ms an image':>14}{'peak MB':>10}{'before':>8}")
    for name, (title, _) in LATENTS.items():
        rows = {}
        for K in sorted(set(samples)):
            call = f"print_cost({name!r}, {K}, {decodings}, {rounds}, {device!r})"
            row = rows[str(K)] = alone("importance", call)
            times = f"{1e3 * row['seconds_an_image']:14.3f}{row['peak_megabytes']:10.0f}"
            print(f"{title:26}{K:8,}{times}{row['megabytes_before']:8.0f}", flush=True)
        result["models"][name] = {"title": title, "rows": rows}
    write_json(path, result)
    plot(result, path.with_suffix(".png"))
    print(f"written {path}, {path.with_suffix('.png').name}")
    return result


def plot(result: dict[str, Any], path: Path) -> None:
    """Draws time and memory against K, with what they would be if all codes were decoded at once."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"log p(x) by K samples; {result['hardware']}", fontsize=10)
    time, memory = figure.subplots(1, 2)
    for color, model in zip(("C0", "C1"), result["models"].values(), strict=True):
        counts, rows = [int(K) for K in model["rows"]], list(model["rows"].values())
        seconds = [row["seconds_an_image"] for row in rows]
        time.plot(counts, seconds, "o-", color=color, label=model["title"])
        slope = seconds[-1] / counts[-1]
        time.plot(counts, [K * slope for K in counts], ":", color=color, lw=1)
        peak = [row["peak_megabytes"] for row in rows]
        memory.plot(counts, peak, "o-", color=color, label=model["title"])
    base, each = rows[0]["megabytes_before"], rows[0]["megabytes_a_decoding"]
    many = [math.exp(i * math.log(counts[-1]) / 100) for i in range(101)]
    at_once = [base + 100 * K * each for K in many]
    memory.plot(many, at_once, ":", color="0.5", label="100 images decoded at once")
    time.plot([], [], ":", color="0.5", lw=1, label="proportional to K")
    time.set(xscale="log", yscale="log", xlabel="K", ylabel="seconds an image")
    memory.set(xscale="log", xlabel="K", ylabel="peak memory of the process, MB")
    memory.set_ylim(0, 3 * max(peak))
    for axis in (time, memory):
        axis.grid(alpha=0.2)
        axis.legend(fontsize=8)
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=110)


if __name__ == "__main__":
    with one_line_errors():
        parser = ScriptParser(description=__doc__)
        parser.add_function_arguments(evaluation_cost)
        evaluation_cost(**vars(parser.parse_args()))
