"""Objects that remember their arguments, so that a checkpoint can say how to make them again."""

from __future__ import annotations

import inspect
from abc import ABCMeta
from typing import Any

__all__ = ["Recorded", "arguments_of"]


class Recorded(ABCMeta):
    """A metaclass whose instances remember the arguments of their constructor, by name.

    Nothing is asked of a subclass: it may have any constructor, and no call to record it.
    """

    @property
    def __signature__(cls) -> inspect.Signature:
        """The constructor's, for ``help`` and editors, which would show that of ``__call__``."""
        found = inspect.signature(cls.__init__)  # type: ignore[misc]
        return found.replace(parameters=list(found.parameters.values())[1:])

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        bound = inspect.signature(cls.__init__).bind(instance, *args, **kwargs)  # type: ignore[misc]
        arguments = dict(list(bound.arguments.items())[1:])
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name, {})
            elif parameter.kind is parameter.VAR_POSITIONAL and arguments.get(name) == ():
                del arguments[name]
        instance.__dict__["_made_with"] = arguments
        return instance


def arguments_of(instance: object) -> dict[str, Any] | None:
    """What an instance was made with; None of one that does not remember."""
    found = vars(instance).get("_made_with")
    return dict(found) if found is not None else None
