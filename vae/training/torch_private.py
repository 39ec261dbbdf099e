"""All that is used of torch's internals in training: where hooks are kept.

``tests/training/test_torch_private.py`` fails if a version of torch keeps them elsewhere.
"""

from __future__ import annotations

from torch import nn
from torch.optim import Optimizer

__all__ = ["has_step_hooks", "hooked"]

OF_MODULES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
OF_PARAMETERS = ("_backward_hooks", "_post_accumulate_grad_hooks")
OF_OPTIMIZERS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


def hooked(module: nn.Module) -> list[str]:
    """The names of the modules and parameters in it on which hooks are registered."""
    kinds = ((OF_MODULES, module.named_modules()), (OF_PARAMETERS, module.named_parameters()))
    return [
        name
        for places, named in kinds
        for name, part in named
        if any(getattr(part, place, None) for place in places)
    ]


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Whether hooks are registered on the optimiser's step."""
    return any(getattr(optimizer, place, None) for place in OF_OPTIMIZERS)
