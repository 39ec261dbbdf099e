"""The model card: what a model on the Hugging Face hub is made of, what it achieved, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vae.models.trust import foreign_modules

__all__ = ["card"]

PARTS = ("encoder", "latent", "prior", "decoder", "likelihood", "objective", "estimator")


def card(config: Mapping[str, Any], name: str = "") -> str:
    """Its text, in Markdown.

    Arguments:
        config: What ``config.json`` holds (:func:`vae.models.hub_folder.configuration`).
        name: The repository's, where it is known.
    """
    rooms = [_parts(config), _numbers(config), _use(config, name), _training(config)]
    title = f"# {name}: a variational autoencoder" if name else "# A variational autoencoder"
    return "\n\n".join([title, *filter(None, rooms)]) + "\n"


def _parts(config: Mapping[str, Any]) -> str:
    parts = config.get("parts") or {}
    lines = [
        f"| {name} | `{_class(parts[name])}` | {_options(parts[name])} |"
        for name in PARTS
        if parts.get(name)
    ]
    if not lines:
        return ""
    shape = " x ".join(map(str, parts.get("image_shape") or ()))
    head = f"Of images of {shape} (channels, height, width)." if shape else ""
    return "\n".join([head, "", "| part | class | options |", "|---|---|---|", *lines]).strip()


def _class(spec: Any) -> str:
    return str(spec.get("class_path") if isinstance(spec, Mapping) else spec)


def _options(spec: Any) -> str:
    """Those of a part, and by name those of the parts in it."""
    options = spec.get("init_args") or {} if isinstance(spec, Mapping) else {}
    said = [f"{name} {_said(value)}" for name, value in sorted(options.items())]
    return ", ".join(said).replace("|", "\\|")


def _said(value: Any) -> str:
    """An option; a part by its class."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_said, value))}]"
    if not isinstance(value, Mapping):
        return str(value)
    if "class_path" in value:
        return _class(value)
    return "{" + ", ".join(f"{name}: {_said(part)}" for name, part in sorted(value.items())) + "}"


def _numbers(config: Mapping[str, Any]) -> str:
    lines = [
        f"| {name} | {_value(row)} | {row['bound']} | {', '.join(_labels(row))} |"
        for name, row in (config.get("numbers") or {}).items()
    ]
    if not lines:
        return ""
    head = "| number | mean ± standard error over images | what it is | of |"
    return "\n".join(["## On the test images", "", head, "|---|---|---|---|", *lines])


def _value(row: Mapping[str, Any]) -> str:
    if row.get("mean") is None:
        return "-"
    error = "" if row.get("se") is None else f" ± {row['se']:.2f}"
    return f"{row['mean']:.2f}{error} {row['unit']}"


def _labels(row: Mapping[str, Any]) -> list[str]:
    return [
        *([f"K = {row['K']:,}"] if "K" in row else []),
        *([f"samples {row['samples']:,}"] if "samples" in row else []),
        *([f"{row['images']:,} images"] if "images" in row else []),
        *([f"binarisation {row['binarization']}"] if row.get("binarization") else []),
    ]


def _use(config: Mapping[str, Any], name: str) -> str:
    foreign = foreign_modules(config.get("parts") or config.get("model"))
    trust = f", trust={foreign}" if foreign else ""
    lines = [
        "## Use\n\n```python\nimport vae\n",
        f'model = vae.HubModel.from_pretrained("{name or "path/to/this/folder"}"{trust}).vae',
        "images = model.sample(16)\n```",
    ]
    if foreign:
        lines.append(
            "\nIt names classes of its author's own: to load it runs the code of their modules."
        )
    return "\n".join(lines)


def _training(config: Mapping[str, Any]) -> str:
    record = config.get("training") or {}
    names = ("command", "seed", "git", "torch", "hardware", "epochs", "steps", "seconds")
    lines = [f"- {name}: `{record[name]}`" for name in names if record.get(name) is not None]
    return "\n".join(["## Training", "", *lines]) if lines else ""
