"""How long the explorer takes from a drag to the pixels, in a headless Chromium; and how large it is.

Real input goes to the page: the mouse drags over the plane, cells of the table are clicked, a line is
drawn. ``pixels`` is the time from the browser's event to the decoded image on its canvas, ``frame``
that to the end of the frame which shows it: what the eye waits for, a frame's 17 ms among it.
"""

from __future__ import annotations

import shell  # noqa: F401  # first: Ctrl-C while the rest is imported

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from vae.cli.errors import one_line_errors
from vae.cli.explore import explore
from vae.cli.parser import ScriptParser
from vae.run.files import writable, write_json
from vae.run.record import hardware

RESULT = Path(__file__).parent / "results" / "pages" / "latency.json"

LISTEN = """() => {
    const times = globalThis.times = {pixels: [], frame: []}, {state} = explorer;
    let began = null;
    for (const name of ["pointerdown", "pointermove", "click"]) {
        addEventListener(name, (event) => { began = event.timeStamp; }, true);
    }
    state.on("z", () => {  // the last listener: all others have drawn
        if (began === null) return;
        const from = began, after = new MessageChannel();
        began = null;
        times.pixels.push(performance.now() - from);
        after.port1.onmessage = () => times.frame.push(performance.now() - from);
        requestAnimationFrame(() => after.port2.postMessage(0));
    });
}"""


def page_latency(
    runs: list[str], moves: int = 300, output: str = str(RESULT), browser: str = "chromium"
) -> dict[str, Any]:
    """Measures the page of each run, prints a table, and writes a JSON.

    Args:
        runs: Checkpoints or folders of runs.
        moves: How many events of each sort.
        output: The JSON to write.
        browser: The program, a Chromium.

    Raises:
        ValueError: If there are fewer than 20 moves: a 95th percentile needs them.
    """
    from shutil import which

    from playwright.sync_api import sync_playwright

    if moves < 20:
        raise ValueError(f"moves must be at least 20, got {moves}")
    path, program = writable(Path(output)), which(browser)
    if program is None:
        raise FileNotFoundError(f"there is no {browser} in PATH: name a Chromium by --browser")
    result: dict[str, Any] = {"hardware": hardware("cpu"), "torch": torch.__version__, "pages": {}}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        result["browser"] = f"Chromium {chromium.version}"
        for number, run in enumerate(runs):
            page, small = (Path(folder) / f"{number}-{kind}.html" for kind in ("whole", "small"))
            explore(run, str(page))
            explore(run, str(small), encoder=False)
            sizes = {"bytes": page.stat().st_size, "bytes_without_encoder": small.stat().st_size}
            name, found = _measure(chromium, page, moves)
            result["pages"][name] = sizes | found
        chromium.close()
    result["load_average"] = os.getloadavg()[0]
    write_json(path, result)
    for name, found in result["pages"].items():
        print(f"{name}: {found['bytes'] / 1e6:.2f} MB, {_words(found)}")
    print(path)
    return result


def _measure(chromium: Any, path: Path, moves: int) -> tuple[str, dict[str, Any]]:
    """The name of a page's model, and its times in milliseconds."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.resolve().as_uri())
    page.wait_for_timeout(3000)  # the manifold is drawn
    page.evaluate(LISTEN)
    discrete = page.evaluate("explorer.model.space.discrete")
    found = {
        "opened_ms": page.evaluate(
            "performance.timing.loadEventEnd - performance.timing.navigationStart"
        )
    }
    found["click" if discrete else "drag"] = (
        _click(page, moves) if discrete else _drag(page, moves)
    )
    if page.locator("#draw").count():
        page.locator("#draw").scroll_into_view_if_needed()
        found["draw"] = _stroke(page, moves)
    name = page.evaluate("explorer.data.name")
    page.close()
    return name, found


def _drag(page: Any, moves: int) -> dict[str, Any]:
    """Over the plane, in circles."""
    turn = torch.arange(moves + 1) * 0.3
    return _along(page, "#plane", 0.5 + 0.4 * turn.cos(), 0.5 + 0.4 * turn.sin())


def _stroke(page: Any, moves: int) -> dict[str, Any]:
    """Over the sheet, to and fro: each time q(z|x), eight reconstructions and the KL are made anew."""
    turn = torch.arange(moves + 1) * 0.1
    return _along(page, "#draw", 0.5 + 0.25 * turn.cos(), 0.5 + 0.3 * (0.37 * turn).sin())


def _along(page: Any, canvas: str, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    box = page.locator(canvas).bounding_box()
    places = [
        (box["x"] + a * box["width"], box["y"] + b * box["height"])
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.evaluate("times.pixels.length = times.frame.length = 0")
    for place in places[1:]:
        page.mouse.move(*place)
        page.wait_for_timeout(20)
    page.mouse.up()
    return _summary(page)


def _click(page: Any, moves: int) -> dict[str, Any]:
    """Cells of the table, one after the other."""
    page.evaluate("times.pixels.length = times.frame.length = 0")
    boxes = page.evaluate(
        "[...document.querySelectorAll('.cell')].map((c) => c.getBoundingClientRect())"
        ".map((b) => [b.x + b.width / 2, b.y + b.height / 2]).filter(([x, y]) => y < innerHeight)"
    )
    for n in range(moves):
        page.mouse.click(*boxes[7 * n % len(boxes)])
        page.wait_for_timeout(20)
    return _summary(page)


def _summary(page: Any) -> dict[str, Any]:
    page.wait_for_timeout(300)
    times = page.evaluate("times")
    found: dict[str, Any] = {"events": len(times["frame"])}
    for name, values in times.items():
        x = torch.tensor(values)
        found[f"{name}_median_ms"] = round(float(x.median()), 2)
        found[f"{name}_p95_ms"] = round(float(x.quantile(0.95)), 2)
    return found


def _words(found: dict[str, Any]) -> str:
    parts = [(name, found[name]) for name in ("drag", "click", "draw") if name in found]
    return "; ".join(
        f"{name} to pixels {part['pixels_median_ms']} ms (95 %: {part['pixels_p95_ms']} ms), to the"
        f" end of the frame {part['frame_median_ms']} ms ({part['frame_p95_ms']} ms)"
        for name, part in parts
    )


def main() -> None:
    parser = ScriptParser(description=__doc__)
    parser.add_function_arguments(page_latency)
    page_latency(**vars(parser.parse_args()))


if __name__ == "__main__":
    with one_line_errors():
        main()
