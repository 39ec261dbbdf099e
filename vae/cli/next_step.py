"""The last line of a verb: what to look at next, as a command that can be pasted.

``VAE_HINTS=0`` leaves it out.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vae.run.here import python_here, vae_here

__all__ = ["STEPS", "about", "forget", "next_step"]


class Step(NamedTuple):
    """What comes after a verb.

    Attributes:
        verb: The next one.
        why: What it shows.
        same: Whether it reads what this one has read or made.
        data: Whether it takes the same ``--data``.
    """

    verb: str
    why: str
    same: bool = True
    data: bool = True


MOVE = Step("explore", "move through its latent space, in a browser")
CURVES = Step("curves", "learning curves, seeds as one band", data=False)
PLAY = Step("playground", "see bias and variance grow, in a browser", same=False)

STEPS = {
    "fit": MOVE._replace(data=False),
    "resume": MOVE._replace(data=False),
    "reconstruct": Step("sample", "what it draws without an image", data=False),
    "sample": MOVE,
    "explore": PLAY,
    "interpolate": Step("traverse", "what each latent variable does"),
    "traverse": Step("kl", "how many nats each variable carries"),
    "latent-map": Step("interpolate", "the way from image to image"),
    "code-usage": Step("kl", "how many nats each variable carries"),
    "kl": Step("evaluate", "its bounds, and whether it has collapsed"),
    "evaluate": Step("gradients", "bias, variance and cost of every estimator at this model"),
    "rate-distortion": Step("evaluate", "its bounds, and whether it has collapsed"),
    "encode": Step("latent-map", "these codes by class, as a picture"),
    "gradients": PLAY,
    "report": Step("gradients", "bias, variance and cost of every estimator"),
    "report of several": CURVES,
    "curves": Step("report", "all that is known of them, on one page", data=False),
    "seeds": CURVES,
    "train-many": CURVES,
    "estimators": PLAY,
    "playground": Step("estimators", "what each estimator claims", same=False),
    "parts": Step("estimators", "what each gradient estimator claims", same=False),
    "data": Step("fit", "train on it"),
}
"""By what was done; the other verbs end in what they have done."""

SCRIPTS = {"fit": ["train.py", "fit"], "data": ["prepare_data.py"]}
"""The scripts of ``experiments`` that have not the name of their verb."""

_SUBJECTS: list[str] = []
_AFTER: list[str] = []


def about(*subjects: str | Path, after: str | None = None) -> None:
    """Says what the present verb reads or has made, for the next one to read.

    Arguments:
        subjects: Checkpoints or folders, as a command line names them.
        after: The key of :data:`STEPS`, where it is not the verb.
    """
    _SUBJECTS[:] = map(str, subjects)
    _AFTER[:] = [] if after is None else [after]


def forget() -> None:
    """Forgets what :func:`about` has said, of a verb before."""
    about()


def next_step(verb: str, program: str, words: Sequence[str], trusted: str = "") -> str | None:
    """The line to print when a verb has done its work; None if there is none.

    The command is called as the present one was: ``vae VERB``, a script, or make.

    Arguments:
        verb: What was done.
        program: What the verb was called by: ``vae VERB``, or a script.
        words: Its arguments.
        trusted: The modules that its command line trusts.
    """
    step = STEPS.get(_AFTER[0] if _AFTER else verb)
    rehearsal = any(word.startswith("--trainer.fast_dev_run") for word in words)
    if step is None or rehearsal or os.environ.get("VAE_HINTS") == "0" or not _first_process():
        return None
    subjects = [f"./{s}" if s.startswith("-") else s for s in _SUBJECTS] if step.same else []
    flags = [*(_data_flags(words) if step.data else []), *(["--trust", trusted] * bool(trusted))]
    flags = flags if step.same else []
    if step.verb == "fit":
        subjects = []
    if not program.endswith(".py"):
        named = ["--config", "gaussian"] if step.verb == "fit" else subjects
        command = f"{vae_here()} {shlex.join([step.verb, *named, *flags])}"
    elif os.environ.get("MAKELEVEL"):
        command = _make(step.verb, subjects, flags)
    else:
        folder = Path(sys.argv[0]).parent
        script, *more = SCRIPTS.get(step.verb, [f"{step.verb.replace('-', '_')}.py"])
        config = ["--config", str(folder / "configs" / "gaussian.yaml")]
        named = [*more, *(config if step.verb == "fit" else subjects)]
        command = f"{python_here()} {shlex.join([str(folder / script), *named, *flags])}"
    return f"next: {command}  ({step.why})"


def _make(verb: str, subjects: Sequence[str], flags: Sequence[str]) -> str:
    """The command by make, whose variables hold any path; in ARGS= it reads ``$`` itself."""
    several = verb == "curves" or len(subjects) > 1
    words = []
    if subjects and several:
        words = [f"RUNS={shlex.quote(shlex.join(subjects))}"]
    elif subjects:
        words = [f"{'RUN' if verb == 'report' else 'CKPT'}={shlex.quote(subjects[0])}"]
    if flags:
        words.append(f"ARGS={shlex.quote(shlex.join(flags).replace('$', '$$'))}")
    return " ".join(["make", "train-gaussian" if verb == "fit" else verb, *words])


def _data_flags(words: Sequence[str]) -> list[str]:
    """The options among these that say which images are read, with their values."""
    found, rest = [], list(words)
    while rest:
        word = rest.pop(0)
        if word.partition("=")[0] == "--data" or word.startswith("--data."):
            found.append(word)
            if "=" not in word and rest:
                found.append(rest.pop(0))
    return found


def _first_process() -> bool:
    """Whether this is the first of the processes of a training; the others say nothing."""
    ranks = (os.environ.get(name, "0") for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return all(rank == "0" for rank in ranks)
