"""An accelerator that is none: the device ``pretend:0``, whose kernels are the CPU's.

Its numbers are real, and it is as strict as a GPU about what a CPU forgives:

- an operation on tensors of two devices is refused, and a draw by the other device's generator;
- its generator is its own, seeded by ``torch.manual_seed``, with a state apart from the CPU's;
- whatever makes the host wait for the device (``SYNCHRONISES``, copies to the host), and every
  copy to the device, is in ``LOG``, with the functions of the library that it was called from;
- ``recording`` refuses all of these, as a CUDA graph does, and a replay repeats kernels only: no
  Python, and at the same addresses;
- a checkpoint with its tensors is only read where ``map_location`` says to which device;
- where ``FLAGS.float64`` is off it has no such numbers, as MPS.

torch's ``PrivateUse1`` as a backend in Python (torch >= 2.13). There is no way back: a process of
its own is asked for (``test_pretend_device.py``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[2]
NAME = "pretend"
FLAGS = SimpleNamespace(float64=True)


class Event(NamedTuple):
    """What a device without a host of its own would have made wait."""

    kind: str  # "wait", or "copy" to the device
    op: str
    callers: tuple[str, ...]  # of this repository, innermost first: "vae/x.py:function"

    @property
    def functions(self) -> tuple[str, ...]:
        """The callers without their files, which may move."""
        return tuple(caller.rpartition(":")[2] for caller in self.callers)

    def __str__(self) -> str:
        return f"{self.kind} by {self.op} in {' < '.join(self.callers[:3])}"


LOG: list[Event] = []

SYNCHRONISES = {
    "_local_scalar_dense",  # item(), float(), bool()
    "nonzero",
    "masked_select",
    "equal",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "multinomial",  # looks at the probabilities
    "linalg_cholesky_ex",
    "linalg_inv_ex",
}
"""Of aten, what reads a number back, on CUDA."""

LOOKS_AT_THE_SCALE = {"normal.Tensor_Tensor", "normal.float_Tensor"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
COPYING = {"_to_copy", "copy_", "_copy_from"}


def _callers() -> tuple[str, ...]:
    frame, names = sys._getframe(2), []
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if any(path.is_relative_to(ROOT / part) for part in ("vae", "experiments")):
            names.append(f"{path.relative_to(ROOT)}:{frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(names)


def _log(kind: str, op: str) -> None:
    if _Graph.recording is not None:
        raise RuntimeError(f"operation not permitted when stream is capturing: {op}")
    LOG.append(Event(kind, op, _callers()))


class PretendTensor(torch.Tensor):
    """A tensor on the device; ``raw`` is what holds its numbers."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            device=torch.device(NAME, 0),
        )
        made.raw = raw
        return made

    def __repr__(self) -> str:
        return f"{self.raw!r} on {NAME}"

    @property
    def data(self) -> PretendTensor:
        return self.detach()

    @data.setter
    def data(self, value: PretendTensor) -> None:
        torch.Tensor.data.__set__(self, value)
        self.raw = value.raw

    def untyped_storage(self) -> torch.UntypedStorage:
        return self.raw.untyped_storage()

    def tolist(self) -> Any:
        _log("wait", "tolist")
        return self.raw.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy")

    def __reduce_ex__(self, protocol: int) -> Any:
        _log("wait", "save")
        raw = self.raw.detach()
        _STORED.add(raw.untyped_storage())
        function, arguments = raw._reduce_ex_internal(protocol)
        return function, (*arguments[:4], self.requires_grad, *arguments[5:])

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


_STORED: WeakSet[torch.UntypedStorage] = WeakSet()  # the device's, while they are saved


def _tag(storage: torch.UntypedStorage) -> str | None:
    return f"{NAME}:0" if storage in _STORED else None


def _deserialize(storage: torch.UntypedStorage, location: str) -> torch.UntypedStorage | None:
    if location.startswith(NAME):
        raise RuntimeError(f"a tensor saved on {location} is read without map_location")
    return None


class _Factories(TorchDispatchMode):
    """Sees what has no tensor among its arguments, and the CPU's own draws."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if torch.is_inference_mode_enabled():  # there, nobody has taken composite operations apart
        with _Factories():
            taken_apart = func.decompose(*args, **kwargs)
        if taken_apart is not NotImplemented:
            return taken_apart
    name = func._schema.name.partition("::")[2]
    flat, _ = pytree.tree_flatten((args, kwargs))
    here = [t for t in flat if isinstance(t, PretendTensor)]
    there = [
        t
        for t in flat
        if isinstance(t, torch.Tensor) and not isinstance(t, PretendTensor) and t.dim()
    ]
    asked = kwargs.get("device")
    if asked is not None:
        on_device = torch.device(asked).type == NAME
        kwargs = kwargs | {"device": torch.device("cpu") if on_device else asked}
    elif name in ("copy_", "_copy_from"):
        on_device = isinstance(args[0 if name == "copy_" else 1], PretendTensor)
    else:
        on_device = bool(here)
    if name in COPYING and here and not on_device:
        _log("wait", name)
    elif name in COPYING and on_device and any(t.device.type == "cpu" for t in flat if _real(t)):
        _log("copy", name)
    elif here and there and name not in COPYING:
        if name not in INDEXING or isinstance(args[0], PretendTensor) is False:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but {name} found at least two"
                f" devices, {NAME}:0 and cpu!"
            )
        _log("copy", name)  # an index from the host
    if here and _waits(name, func, args):
        _log("wait", name)
    unwrap = lambda t: t.raw if isinstance(t, PretendTensor) else t
    raw_args, raw_kwargs = pytree.tree_map(unwrap, (args, kwargs))
    if on_device and _Graph.recording is not None:
        out = _Graph.recording.record(func, raw_args, raw_kwargs)
    else:
        out = _call(func, raw_args, raw_kwargs, on_device)
    if not on_device:
        return out
    wrappers = {id(t.raw): t for t in here}
    of_training = _is_view(func) and not all(t.is_inference() for t in here)

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if value.dtype == torch.float64 and not FLAGS.float64:
            raise TypeError(f"{NAME} has no float64 ({name})")
        if id(value) in wrappers:
            return wrappers[id(value)]
        with torch.inference_mode(torch.is_inference_mode_enabled() and not of_training):
            return PretendTensor(value)

    return pytree.tree_map(wrap, out)


def _is_view(func: Any) -> bool:
    returned = [r.alias_info for r in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in returned)


def _real(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, PretendTensor)


def _waits(name: str, func: Any, args: Any) -> bool:
    if name in INDEXING:
        masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
        filled = name.startswith(("index_put", "_index_put")) and args[2].numel() == 1
        return bool(masks) and not filled
    if name == "repeat_interleave":
        return True
    return name in SYNCHRONISES or str(func).partition(".")[2] in LOOKS_AT_THE_SCALE


def _call(func: Any, args: Any, kwargs: dict[str, Any], on_device: bool) -> Any:
    """On the CPU, with the random numbers of the device's generator or of the one that is
    given, which must be of that device."""
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return func(*args, **kwargs)
    for given in (g for g in [*args, *kwargs.values()] if isinstance(g, torch._C.Generator)):
        kind = NAME if given._cdata in _OWN else "cpu"
        if kind != (NAME if on_device else "cpu"):
            raise RuntimeError(
                f"Expected a '{NAME if on_device else 'cpu'}' device type for generator but found"
                f" '{kind}'"
            )
        return func(*args, **kwargs)
    if not on_device:
        return func(*args, **kwargs)
    host = torch.default_generator.get_state()
    torch.default_generator.set_state(BACKEND.generator.get_state())
    try:
        return func(*args, **kwargs)
    finally:
        BACKEND.generator.set_state(torch.default_generator.get_state())
        torch.default_generator.set_state(host)


class _Recorded(NamedTuple):
    func: Any
    args: Any
    kwargs: dict[str, Any]
    out: Any


class _Graph:
    """A recording of kernels, as :class:`torch.cuda.CUDAGraph`: what they write while they are
    recorded is undone, since a GPU does not run them then."""

    recording: _Graph | None = None

    def __init__(self) -> None:
        self.kernels: list[_Recorded] = []
        self.undo: list[tuple[torch.Tensor, torch.Tensor]] = []

    def record(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if _is_view(func):  # of what is there already
            return func(*args, **kwargs)
        given = [*zip(func._schema.arguments, args, strict=False)]
        given += [(a, kwargs[a.name]) for a in func._schema.arguments if a.name in kwargs]
        for argument, value in given:
            if argument.alias_info is not None and argument.alias_info.is_write:
                written = [t for t in pytree.tree_leaves(value) if isinstance(t, torch.Tensor)]
                self.undo += [(t, t.clone()) for t in written]
        out = _call(func, args, kwargs, on_device=True)
        self.kernels.append(_Recorded(func, args, kwargs, out))
        return out

    def replay(self) -> None:
        for func, args, kwargs, kept in self.kernels:
            out = _call(func, args, kwargs, on_device=True)
            for target, value in zip(
                pytree.tree_leaves(kept), pytree.tree_leaves(out), strict=True
            ):
                if isinstance(target, torch.Tensor) and target is not value:
                    target.copy_(value)


class _Generator(torch._C.Generator):
    @property
    def device(self) -> torch.device:
        return torch.device(NAME, 0)


_OWN: set[int] = set()  # addresses of the device's generators, which live as long as the process
_KEPT: list[_Generator] = []


class _GeneratorType(type):
    def __call__(cls, device: Any = "cpu") -> torch._C.Generator:
        if torch.device(device).type != NAME:
            return torch._C.Generator(device)
        made = _Generator()
        _OWN.add(made._cdata)
        _KEPT.append(made)
        return made

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, torch._C.Generator)


class Generator(metaclass=_GeneratorType):
    """``torch.Generator``, which torch lets no backend in Python make."""


class Backend:
    """``torch.pretend``: the functions that a device's module has."""

    CUDAGraph = _Graph
    generator: _Generator

    def is_available(self) -> bool:
        return True

    is_initialized = is_available

    def _lazy_init(self) -> None: ...

    def _is_in_bad_fork(self) -> bool:
        return False

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def set_device(self, device: Any) -> None: ...

    def get_device_name(self, device: Any = None) -> str:
        return "Pretend 100"

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]

    def manual_seed_all(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    manual_seed = manual_seed_all

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return self.generator.get_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        self.generator.set_state(state)

    def synchronize(self, device: Any = None) -> None:
        _log("wait", "synchronize")

    def reset_peak_memory_stats(self, device: Any = None) -> None: ...

    def max_memory_allocated(self, device: Any = None) -> int:
        return 3 * 2**20

    def Stream(self, device: Any = None) -> Any:
        return SimpleNamespace(wait_stream=lambda other: None)

    current_stream = Stream

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        yield

    @contextmanager
    def graph(self, graph: _Graph) -> Iterator[None]:
        state = self.get_rng_state()
        _Graph.recording = graph
        try:
            yield
        finally:
            _Graph.recording = None
            for written, value in reversed(graph.undo):
                written.copy_(value)
            self.set_rng_state(state)


BACKEND = Backend()


def install() -> None:
    """Makes the device of this process; :class:`PretendTensor` sees what is asked of it from then
    on."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(NAME, backend_module=BACKEND)
    torch.Generator = Generator  # type: ignore[assignment,misc]
    BACKEND.generator = Generator(NAME)  # type: ignore[assignment]
    torch.serialization.register_package(1, _tag, _deserialize)
    library = torch.library.Library("aten", "IMPL")  # torch.tensor(..., device=) sees no mode
    for kernel in ("empty_strided", "_copy_from"):
        library.impl(kernel, _direct(getattr(torch.ops.aten, kernel).default), "PrivateUse1")
    BACKEND.library = library  # type: ignore[attr-defined]
    _Factories().__enter__()


def _direct(func: Any) -> Callable[..., Any]:
    if func is torch.ops.aten._copy_from.default:

        def copy(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> Any:
            return _run(torch.ops.aten.copy_.default, (target, source), {})

        return copy
    return lambda *args, **kwargs: _run(func, args, kwargs)
