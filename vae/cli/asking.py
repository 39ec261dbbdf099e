"""Asks the parts of an evaluation, one after the other, and says how far it is."""

from __future__ import annotations

import hashlib
import math
import sys
import textwrap
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from vae.cli.console import console
from vae.cli.evaluation_file import entry
from vae.cli.evaluation_table import duration
from vae.evaluation.answers import Answers
from vae.evaluation.asking import Answered, ask
from vae.evaluation.part import Number, Part, Subject, mean_of
from vae.evaluation.parts import ALWAYS, PARTS, part_class
from vae.run.files import digest
from vae.seeds import fixed_noise

__all__ = ["Asking"]


SAID_EVERY = 60.0
"""Seconds between two lines about progress, where there is no terminal to draw a bar on."""


class Asking:
    """The parts of one evaluation.

    Arguments:
        subject: What is evaluated.
        about: The evaluation's own record.
        target: Its JSON; the answers are kept in ``evaluation-answers`` beside it.
        batch_size: Images at a time.
        again: Whether to leave earlier answers alone, and compute anew.

    Attributes:
        rows: The numbers so far, as JSON has them.
        remarks: What is said about them, by part.
        said: What else is to be said.
        stopped: The part during which Ctrl-C came, or empty.
    """

    def __init__(
        self,
        subject: Subject,
        about: Mapping[str, Any],
        target: Path,
        batch_size: int,
        again: bool,
    ) -> None:
        self.subject, self.about, self.batch_size, self.again = subject, about, batch_size, again
        self.folder = target.parent / "evaluation-answers"
        self.weights = digest(Path(about["checkpoint"]))
        self.images = _first_images(subject)
        self.cross_entropy = subject.vae.likelihood.binary and not subject.data.is_binary
        has_levels = subject.vae.likelihood.levels is not None
        self.pixels = math.prod(subject.data.image_shape) if has_levels else None
        self.rows: dict[str, dict[str, Any]] = {}
        self.remarks: dict[str, list[str]] = {}
        self.said: list[str] = []
        self.stopped = ""
        self._log_p: dict[str, torch.Tensor] = {}

    def possible(self, parts: Sequence[Part], skip: Sequence[str]) -> list[Part]:
        """The parts that have an answer for this model.

        Arguments:
            parts: What is asked.
            skip: Names of the parts that are left out if they have none; ``*`` for all.

        Raises:
            ValueError: If another has none.
        """
        found = []
        for part in parts:
            with fixed_noise(self.subject.device, self.subject.seed):
                reason = part.why_not(self.subject)
            if reason is None:
                found.append(part)
            elif part.name in skip or "*" in skip:
                if part.name not in ALWAYS:
                    self.said.append(f"left out: --{part.name}: {reason}")
            else:
                raise ValueError(f"--{part.name}: {reason}")
        if len(parts) == len(ALWAYS) and (others := self._others()):
            self.said.append(others)
        return found

    def ask(self, part: Part) -> None:
        """Asks a part, and keeps its numbers."""
        total: int = self.about["images"]
        images = min(total, part.images or total)
        batch_size = min(self.batch_size, part.batch_size(self.subject) or self.batch_size)
        answers = Answers(
            None if part.name in ALWAYS else self.folder,
            f"{self.subject.split}-{part.name}",
            self._identity(part, batch_size),
        )
        if not self.again:
            answers.read()
        noise = fixed_noise(self.subject.device, self.subject.seed)  # the caller's is left alone
        with _Telling(part.name, images) as report, noise:
            found = ask(part, self.subject, images, batch_size, answers, report)
        self.stopped = f"--{part.name}" if found.stopped else ""
        for number in [*found.numbers(self.subject), *self._compared(found)]:
            self.rows[number.name] = entry(
                number,
                found,
                self.about["binarization"],
                self.subject.seed,
                self.cross_entropy,
                self.pixels,
            )
        self.remarks[part.name] = found.remarks(self.subject)
        if found.taken_over:
            count = "all" if found.taken_over == found.images else f"{found.taken_over:,}"
            self.said.append(
                f"{part.name}: {count} of the {found.images:,} images' answers are of an earlier evaluation"
                " (--again: compute them anew)"
            )

    def _compared(self, found: Answered) -> list[Number]:
        """How far a part's log p(x) is from that of the parts before, on the same images."""
        numbers = []
        for name, value in (
            found.part.log_likelihoods(found.values).items() if found.images else ()
        ):
            for other, held in self._log_p.items():
                count = min(len(value), len(held))
                difference = (value[:count] - held[:count]).double()
                numbers.append(mean_of(f"{name}_minus_{other}", difference, images=count))
            self._log_p[name] = value
        return numbers

    def _identity(self, part: Part, batch_size: int) -> dict[str, Any]:
        """What a part's answers follow from."""
        options = {
            name: value
            for name, value in vars(part).items()
            if not name.startswith("_") and name not in ("images", "kept", "batch")
        }
        return {
            **{name: self.about.get(name) for name in ("step", "split", "binarization", "data")},
            "part": part.name,
            "options": options,
            "batch_size": batch_size,
            "weights": self.weights,
            "seed": self.subject.seed,
            "device": self.subject.device.type,
            "version": version("vae"),
            "images": self.images,
            "code": _sources([part, *self.subject.vae.modules()]),
        }

    def _others(self) -> str:
        """What else could be asked, with about how long it takes."""
        lines = ["what else there is (--all: all of it):"]
        for name in PARTS:
            kind = part_class(name)
            part = kind()
            with fixed_noise(self.subject.device, self.subject.seed):
                if part.why_not(self.subject) is not None:
                    continue
                each = part.seconds(self.subject)
            images = min(self.about["images"], part.images or self.about["images"])
            about = "" if each is None else f", about {duration(each * images)}"
            words = getattr(part, kind.values) if kind.values else []
            flag = " ".join([f"--{name}", *map(str, words)])
            said = f"  {flag:<21}  {kind.title} ({images:,} images{about})"
            lines.append(textwrap.fill(said, console().width, subsequent_indent=" " * 25))
        return "\n".join(lines) if lines[1:] else ""


def _first_images(subject: Subject) -> str:
    """A digest of the first few images: other data under the same name have others."""
    loader = subject.data.loader(subject.split, device=subject.device, batch_size=8, limit=8)
    x = next(iter(loader)).cpu().contiguous()
    return hashlib.sha256(x.view(torch.uint8).numpy().tobytes()).hexdigest()


def _sources(objects: Iterable[object]) -> str:
    """A digest of the files that classes of objects are in.

    For this library's models its version stands.
    """
    kinds = {type(each) for each in objects}
    known = ("vae.models.", "vae.estimators.", "torch.")
    names = {k.__module__ for k in kinds if not k.__module__.startswith(known)}
    found = hashlib.sha256()
    for name in sorted(names):
        file = getattr(sys.modules.get(name), "__file__", None)
        found.update(Path(file).read_bytes() if file and Path(file).is_file() else name.encode())
    return found.hexdigest()


class _Telling:
    """A bar on a terminal; elsewhere a line a minute."""

    def __init__(self, name: str, images: int) -> None:
        self.name, self.images = name, images
        self.bar = Progress(transient=True, disable=not sys.stderr.isatty())

    def __enter__(self) -> _Telling:
        self.begun = self.last = time.monotonic()
        self.first: int | None = None
        self.bar.start()
        self.task = self.bar.add_task(self.name, total=self.images)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.stop()

    def __call__(self, done: int) -> None:
        self.bar.update(self.task, completed=done)
        now = time.monotonic()
        if self.first is None:
            self.first, self.begun = done, now
        if self.bar.disable and now - self.last >= SAID_EVERY and done > self.first:
            left = (now - self.begun) / (done - self.first) * (self.images - done)
            line = f"{self.name}: {done:,} of {self.images:,} images, about {duration(left)} left"
            print(line, file=sys.stderr)
            self.last = now
