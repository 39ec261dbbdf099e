"""The last line of a verb: what to look at next.

``VAE_HINTS=0`` leaves it out.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

__all__ = ["STEPS", "next_step"]


class Step(NamedTuple):
    """What comes after a verb.

    Attributes:
        verb: The next one.
        why: What it shows.
        same: Whether it reads the checkpoint that was named.
    """

    verb: str
    why: str
    same: bool = True


STEPS = {
    "fit": Step("explore", "move through its latent space, in a browser"),
    "resume": Step("explore", "move through its latent space, in a browser"),
    "reconstruct": Step("sample", "what it draws without an image"),
    "sample": Step("explore", "move through its latent space, in a browser"),
    "explore": Step("playground", "see how estimators differ, in a browser", same=False),
    "interpolate": Step("traverse", "what each latent variable does"),
    "traverse": Step("kl", "how many nats each variable carries"),
    "latent-map": Step("interpolate", "the way from image to image"),
    "code-usage": Step("kl", "how many nats each variable carries"),
    "kl": Step("evaluate", "its bounds, and whether it has collapsed"),
    "evaluate": Step("gradients", "bias, variance and cost of every estimator at this model"),
    "rate-distortion": Step("evaluate", "its bounds, and whether it has collapsed"),
    "encode": Step("latent-map", "these codes by class, as a picture"),
    "gradients": Step("playground", "see bias and variance grow, in a browser", same=False),
    "report": Step("gradients", "bias, variance and cost of every estimator"),
    "curves": Step("report", "a page of a run, with all its pictures", same=False),
    "seeds": Step("curves", "its learning curves, seeds as one band", same=False),
    "train-many": Step("curves", "its learning curves, seeds as one band", same=False),
    "estimators": Step("playground", "see bias and variance grow, in a browser", same=False),
    "playground": Step("estimators", "what each estimator claims", same=False),
    "parts": Step("estimators", "what each gradient estimator claims", same=False),
    "data": Step("fit", "train on it", same=False),
}
"""By verb; the others end in what they have done."""

NEEDS = {"curves": "RUNS", "fit": "CONFIG"}
"""Verbs that are nothing without a word of the user's, and the name that make gives it."""


def next_step(verb: str, program: str, words: Sequence[str]) -> str | None:
    """The line to print when a verb has done its work; None if there is none.

    Arguments:
        verb: What was done.
        program: What the verb was called by: ``vae VERB``, or a script, beside which there is make.
        words: Its arguments.
    """
    step = STEPS.get(verb)
    rehearsal = any(word.startswith("--trainer.fast_dev_run") for word in words)
    if step is None or rehearsal or os.environ.get("VAE_HINTS") == "0" or not _first_process():
        return None
    made = program.endswith(".py")
    given = list(takewhile(lambda word: not word.startswith("-"), words))
    named = given[0] if step.same and len(given) == 1 else None
    if named is None and step.verb in NEEDS:
        named = f"{NEEDS[step.verb]}=..." if made else "..."
    elif named is not None:
        named = ("CKPT=" if made else "") + shlex.quote(named)
    command = " ".join(filter(None, [f"make {step.verb}" if made else f"vae {step.verb}", named]))
    return f"next: {command}  ({step.why})"


def _first_process() -> bool:
    """Whether this is the first of the processes of a training; the others say nothing."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return all(rank == "0" for rank in ranks)
