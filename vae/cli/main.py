"""The ``vae`` command: finds the verb, and imports only what that verb needs."""

from __future__ import annotations

import shutil
import sys
import textwrap
from importlib import import_module
from pathlib import Path

from vae.cli.errors import TRUSTED, fail, one_line_errors, take_debug_flag, take_trust_flags
from vae.cli.imports import uncollected
from vae.cli.next_step import forget, next_step
from vae.cli.shell import finished, prepare

__all__ = ["VERBS", "main", "run"]


VERBS = {
    "fit": "train a model from a configuration and flags, and test it",
    "resume": "continue a run that was cut short, from its last checkpoint",
    "evaluate": "ELBO, rate and distortion of a checkpoint; on request log p(x)",
    "encode": "write the codes of images, with labels, to an .npz file",
    "reconstruct": "draw test images above their reconstructions",
    "sample": "draw images from the prior; needs no data",
    "explore": "make a page to move through a checkpoint's latent space",
    "interpolate": "draw the way from image to image through latent space",
    "traverse": "draw what each latent variable does, sorted by its KL",
    "latent-map": "draw what two variables decode to, or codes by class",
    "code-usage": "draw how often each category of discrete variables is used",
    "kl": "draw how the rate is spread over the latent variables",
    "rate-distortion": "draw the curve that vae evaluate has computed",
    "curves": "draw learning curves of runs, seeds as one band",
    "report": "write a page of all that is known of a run, or several",
    "gradients": "bias, variance and cost of every gradient estimator",
    "seeds": "train with several seeds: means, paired differences",
    "train-many": "train with many seeds at once, as one batched computation",
    "replay": "repeat the step that ended a run in NaN; name the tensor",
    "estimators": "list the gradient estimators, and what each one claims",
    "playground": "make a page of gradient estimators at work",
    "parts": "list what a model can be composed of, and what goes with what",
    "data": "find or download MNIST or another data set, and verify it",
    "clean-runs": "delete all but the newest runs",
    "wandb-sync": "upload the offline W&B runs",
}
"""Each verb, with one line about it; ``vae.cli.<verb>.main`` does it."""

USAGE = "usage: vae VERB [arguments]; vae VERB --help lists a verb's arguments"


def main() -> None:
    """Runs the verb that the command line names."""
    prepare()
    take_debug_flag()
    take_trust_flags()
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(menu(shutil.get_terminal_size().columns))
    elif words[0] == "--version":
        from importlib.metadata import version

        print(version("vae"))
    elif words[0] in VERBS:
        run(words[0], f"vae {words[0]}", words[1:])
    else:
        import difflib  # here, so that Ctrl-C is handled as soon as can be

        near = difflib.get_close_matches(words[0], VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else "vae --help lists them"
        fail(f"there is no verb {words[0]!r}: {hint}")


def menu(width: int) -> str:
    """The verbs, each with its line."""
    lines = [textwrap.fill(USAGE, width), ""]
    for verb, line in VERBS.items():
        lines.append(textwrap.fill(f"  {verb:<15} {line}", width, subsequent_indent=" " * 18))
    return "\n".join(lines)


def run(verb: str, program: str | None = None, words: list[str] | None = None) -> None:
    """Runs a verb; a user's mistake ends the process with one line and exit code 2.

    Arguments:
        verb: One of :data:`VERBS`.
        program: What the help calls the program; by default the script's name.
        words: The verb's arguments; by default those of the script.
    """
    with uncollected():
        module = import_module(f"vae.cli.{verb.replace('-', '_')}")
    program = program or Path(sys.argv[0]).name
    forget()
    try:
        with one_line_errors():  # which takes --debug and --trust off sys.argv
            words = sys.argv[1:] if words is None else words
            module.main(words, program)
    except SystemExit as error:
        if isinstance(error.code, int):
            finished(error.code)
        raise
    if line := next_step(verb, program, words or [], ",".join(TRUSTED)):
        print(line)
    finished()
