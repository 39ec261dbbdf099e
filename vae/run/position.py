"""Where a run is: the state of Lightning's loop, in the one form from which it goes on rightly.

Lightning saves how far its counters are, and guesses from them in which hook that was; with
``max_steps``, at the end of an epoch, and where a validation is due, it guesses wrong.
"""

from __future__ import annotations

from typing import Any

from vae.data.loader import StepLoader

__all__ = ["settle"]


def settle(loop: dict[str, Any], loader: StepLoader, step: int) -> None:
    """Makes a fit loop's state that of a moment between two groups of steps, before which
    everything is done, a validation too: inside an epoch, or before the first step of the next.

    Arguments:
        loop: ``checkpoint["loops"]["fit_loop"]``, of any moment; changed in place.
        loader: The training data's.
        step: The optimiser steps that are done.
    """
    epochs, groups = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
    done = loader.done % loader.total  # of the epoch that is not over
    before = groups["total"]["ready"] - groups["current"]["ready"]  # of this epoch
    if loader.done == loader.total:
        over, total = epochs["current"]["started"], groups["total"]["ready"]
    else:  # a group that max_steps cut short is not done
        over, total = epochs["current"]["processed"], before + done // loader.steps
        if done:
            over = epochs["current"]["started"] - 1
    for which in ("total", "current"):
        begun = over + (done > 0)
        epochs[which].update(ready=begun, started=begun, processed=over, completed=over)
    for which, count in (("total", total), ("current", done // loader.steps)):
        groups[which] = dict.fromkeys(groups[which], count)
        validated = loop["epoch_loop.val_loop.batch_progress"]
        validated[which] = dict.fromkeys(validated[which], 0)
    groups["is_last_batch"] = validated["is_last_batch"] = False
    loop["epoch_loop.state_dict"]["_batches_that_stepped"] = step
    for state in loop["state_dict"].get("combined_loader", []):
        state["epoch"] = over
