"""Asks a part about one batch of images after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from vae.devices import synchronize
from vae.evaluation.answers import Answers
from vae.evaluation.part import Number, Part, Subject

__all__ = ["Answered", "ask"]


WRITTEN_EVERY = 5.0
"""Seconds between two writings of what is answered so far."""


class Answered(NamedTuple):
    """The answers of a part.

    Attributes:
        part: The part.
        values: Of N images, tensors ``(N, *)`` by name.
        asked: Of how many images they should have been.
        taken_over: Of how many images they come from an earlier evaluation.
        seconds: How long they took, in that one too.
        stopped: Whether Ctrl-C ended them early.
    """

    part: Part
    values: dict[str, Tensor]
    asked: int
    taken_over: int
    seconds: float
    stopped: bool

    @property
    def images(self) -> int:
        return min((len(value) for value in self.values.values()), default=0)

    def numbers(self, subject: Subject) -> list[Number]:
        """The part's numbers; none without an image."""
        return self.part.numbers(subject, self.values) if self.images else []

    def remarks(self, subject: Subject) -> list[str]:
        """What is said beneath the table."""
        return self.part.remarks(subject, self.values) if self.images else []


def ask(
    part: Part,
    subject: Subject,
    images: int,
    batch_size: int,
    answers: Answers,
    report: Callable[[int], Any] = lambda done: None,
) -> Answered:
    """Asks a part about the first so many images of the subject's split.

    What ``answers`` holds already is not asked again, as far as it is of whole batches. On Ctrl-C
    the rest is left out.

    Arguments:
        part: The part.
        subject: What is evaluated.
        images: How many.
        batch_size: Images at a time.
        answers: What is answered so far; it is written every few seconds.
        report: Is told how many images are done, after each batch.

    Raises:
        OSError: If the answers cannot be written.
    """
    whole = answers.done - (answers.done % batch_size if answers.done < images else 0)
    answers.truncate(min(whole, images))
    taken_over, stopped = answers.done, False
    part.kept = answers.kept
    try:
        if taken_over < images:
            _go_on(part, subject, images, batch_size, answers, report)
    except KeyboardInterrupt:
        stopped = True
    if answers.done > taken_over:
        answers.write()
    values = {name: value[: answers.done] for name, value in answers.values.items()}
    return Answered(part, values, images, taken_over, answers.seconds, stopped)


def _go_on(
    part: Part,
    subject: Subject,
    images: int,
    batch_size: int,
    answers: Answers,
    report: Callable[[int], Any],
) -> None:
    started = written = time.monotonic()
    part.prepare(subject)
    answers.kept = dict(part.kept)
    loader = subject.data.loader(
        subject.split, device=subject.device, batch_size=batch_size, limit=images
    )
    for x in loader.batches(answers.done // batch_size):
        values = part.measure(subject, x, answers.done)
        synchronize(subject.device)
        now = time.monotonic()
        answers.add(values, now - started)
        started = now
        report(answers.done)
        if now - written > WRITTEN_EVERY:
            answers.write()
            written = now
