"""Repeats training steps from a checkpoint, and names the first tensor that goes wrong.

``crash.ckpt`` repeats the step that ended a run, ``last.ckpt`` what came after it.
"""

from __future__ import annotations

from itertools import islice

import torch

from vae.cli.parser import checkpoint_parser
from vae.data.load import load_data
from vae.devices import generators, set_generators
from vae.models.schedules import fill
from vae.run.record import find_device
from vae.run.restore import load_module
from vae.run.state import find_last
from vae.training.lightning_private import saved_position
from vae.training.nonfinite import first_non_finite
from vae.training.step import Step


def replay(checkpoint: str | None = None, steps: int = 1000, device: str = "auto") -> str | None:
    """Repeats training steps, and prints the first tensor that is NaN or infinite.

    Args:
        checkpoint: A .ckpt file, or a run's folder, of which its last checkpoint is taken.
        steps: The most optimiser steps to repeat.
        device: cpu, cuda, or auto.

    Returns:
        What was the first to be NaN or infinite, and when; None if nothing was.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if checkpoint is None:
        raise ValueError("name a checkpoint or a run's folder")
    device = find_device(device)
    path, contents = find_last(checkpoint)
    module = load_module(path)
    random_states = contents["vae"]["generators"]
    if any(state.dim() > 1 for state in random_states.values()):
        raise ValueError(f"{path} is of several processes: replay repeats the steps of one")
    module.to(device).train()
    data = load_data(contents)
    epoch, start, first, total = saved_position(contents)
    optimizer = module.build_optimizer()
    scheduler = module.build_scheduler(optimizer)
    optimizer.load_state_dict(contents["optimizer_states"][0])
    if scheduler is not None:
        scheduler.load_state_dict(contents["lr_schedulers"][0])
    take_step = Step(module, optimizer)
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    dtype = half.get(contents["vae"].get("precision", "32-true"))
    autocast = torch.autocast(module.device.type, dtype, enabled=dtype is not None)
    if data.promise:
        print(data.promise)
    set_generators(random_states, module.device)
    step = start
    while step < start + steps:
        loader = data.loader("train", device=device, train=True)
        left = (
            None if total is None else total - first
        )  # fewer than the loader's, of a limited run
        for batch, x in enumerate(islice(loader.batches(first, epoch), left), first):
            fill(module, module.schedules, step)
            before, own = generators(module.device), [b.clone() for b in module.buffers()]
            with autocast:
                found = first_non_finite(module, x)
            if found:
                message = f"{found}, at step {step} (epoch {epoch}, batch {batch})"
                print(message)
                return message
            set_generators(before, module.device)
            for buffer, value in zip(module.buffers(), own, strict=True):
                buffer.copy_(value)
            with autocast:
                take_step(x)
            if scheduler is not None:
                scheduler.step()
            step += 1
            if step == start + steps:
                break
        epoch, first = epoch + 1, 0
    print(f"all finite in {steps} steps from step {start} on ({path})")
    return None


def main(words: list[str], program: str) -> None:
    named = "a .ckpt file, or a run's folder, of which last.ckpt is taken; it must be given"
    replay(**vars(checkpoint_parser(replay, program, checkpoint=named).parse_args(words)))
