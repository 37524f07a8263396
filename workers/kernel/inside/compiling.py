"""Compiles what a candidate's own wrapper launches, for a GPU that need not be here.

`kernel_fn` is called once a case with tensors that have shapes and no content. Each launch on its way is caught: its
arguments are specialised as Triton would do it on the GPU, the kernel is compiled and not run. So block sizes, warps, types and
alignment are those that the wrapper chooses, not those that a test made up.

    compile {cases, source, compiled: [names of cases]} ->
        compiled {cases: [{case, launches: [{name, kernel: n or null, grid, scalars}]}],
                  kernels: [{name, warps, shared, sizes of its texts}]} texts and cubins
        or refused {case, error}

Of cases that are not among the `compiled` ones it is only told what they launch.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from triton._C.libtriton import llvm
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime import driver
from triton.runtime.autotuner import Autotuner
from triton.runtime.cache import FileCacheManager
from triton.runtime.jit import JITFunction

from workers.kernel.cases import Case, ScalarInput, decode
from workers.kernel.inputs import torch_dtype
from workers.kernel.inside import quicker
from workers.kernel.inside.line import Line, load_source
from workers.kernel.inside.linking import Linker

_LONGEST_ERROR = 2000
_UNREAD = (".source", ".ttgir", ".llir")  # forms of a kernel that nobody asks for


def compile_cases(line: Line, backend: str, capability: int | str, warp_threads: int) -> None:
    """Get ready, wait for the question, answer it."""
    catcher = Catcher(GPUTarget(backend, capability, warp_threads))
    with tempfile.TemporaryDirectory() as folder:
        triton.knobs.cache.dir = folder
        triton.knobs.cache.manager_class = _Cache
        triton.knobs.compilation.disable_line_info = True  # no instruction depends on it, and half of the text is about it
        if backend == "cuda" and quicker.fits():
            Linker(llvm, Path(folder)).install(llvm)
        catcher.install()
        _warm_up()
        said, _ = line.receive()
        cases = decode(said["cases"])
        catcher.forget()
        name = "kernel.py"
        try:
            kernel_fn = load_source(said["source"]).kernel_fn
            told = []
            with FakeTensorMode():
                for case in cases:
                    name = case.name
                    catcher.compiles = name in said["compiled"]
                    inputs = _shapes_alone(case)
                    with MemoryAlone():  # type: ignore[no-untyped-call]
                        kernel_fn(*inputs)
                        catcher.compile_choices()
                    told.append({"case": name, "launches": catcher.taken()})
        except Exception as error:  # noqa: BLE001  whatever the candidate's code or the compiler raises is its end
            line.send({"type": "refused", "case": name, "error": _said(error)})
            return
        texts = [text for each in catcher.kernels for text in each.texts]
        line.send({"type": "compiled", "cases": told, "kernels": [each.told for each in catcher.kernels]}, texts)


class TorchComputesError(Exception):
    """Around its kernels a candidate asked torch for more than memory."""


class MemoryAlone(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has none there
    """Lets torch make memory and views, and nothing else: whatever a source calls it, this is what it comes to."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ not in _MEMORY:
            raise TorchComputesError(f"torch computes: {func} outside of a kernel; allowed are memory and views of it")
        return func(*args, **(kwargs or {}))


# As ATen names what the makers, forms and views of static_names.py come to. A `clone` is what `contiguous` makes.
_MEMORY = frozenset({
    "empty", "empty_like", "empty_strided", "zeros", "zeros_like", "full", "full_like", "new_empty", "new_zeros", "zero_",
    "fill_", "new_empty_strided", "view", "_unsafe_view", "_reshape_alias", "alias", "t", "transpose", "permute", "squeeze",
    "unsqueeze", "expand", "detach", "as_strided", "slice", "select", "split", "split_with_sizes", "unbind", "clone", "device",
})  # fmt: skip


@triton.jit
def _little(x_ptr):  # type: ignore[no-untyped-def]
    tl.store(x_ptr, tl.erf(tl.sqrt(tl.exp2(tl.log(tl.load(x_ptr))))))


def _warm_up() -> None:
    """The compiler's first kernel takes a second longer than those after it; so does the first that needs such functions."""
    with FakeTensorMode():
        _little[(1,)](torch.empty(16))


def _said(error: Exception) -> str:
    """An error in as few words as tell it: of a chain, what began it; of the compiler's, its own message."""
    origin: BaseException = error
    while origin.__cause__ is not None:
        origin = origin.__cause__
    text = getattr(origin, "error_message", None) or str(origin)
    return f"{type(origin).__name__}: {text}"[:_LONGEST_ERROR]


def _shapes_alone(case: Case) -> list[Any]:
    return [
        one.value if isinstance(one, ScalarInput) else torch.empty(one.shape, dtype=torch_dtype(one.dtype))
        for one in case.inputs
    ]


class _Elsewhere(DriverBase):  # type: ignore[misc]  # triton has no types
    """A driver for a GPU that is somewhere else: it knows what it is compiled for, and can run nothing."""

    def __init__(self, target: GPUTarget) -> None:
        super().__init__()
        self._target = target

    @classmethod
    def is_active(cls) -> bool:
        return True

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def get_current_target(self) -> GPUTarget:
        return self._target

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")

    def get_benchmarker(self) -> Callable[..., Any]:
        raise RuntimeError("nothing can be timed where there is no GPU")

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, _device: int) -> int:
        return 0


class _Cache(FileCacheManager):  # type: ignore[misc]  # triton has no types
    """Where Triton puts what it compiled and reads it again. Only this process does, and what nobody asks for is empty."""

    def put(self, data: Any, filename: str, binary: bool = True) -> str:
        del binary
        path = Path(self._make_path(filename))
        said = "" if path.suffix in _UNREAD else data
        path.write_bytes(said if isinstance(said, bytes) else str(said).encode())
        return str(path)


class _Pointer:
    """A tensor as the specialiser looks at it: a type, and an address whose alignment is that of its place in the storage."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.dtype = tensor.dtype
        self.shape = tensor.shape
        self._strides = tensor.stride()
        self._address = int(tensor.storage_offset()) * tensor.element_size()

    def data_ptr(self) -> int:
        return self._address

    def stride(self) -> tuple[int, ...]:
        return self._strides

    @staticmethod
    def ptr_range() -> int:
        return 0


class _Kernel:
    """One compiled kernel, ready to be told."""

    def __init__(self, name: str, made: Any) -> None:
        asm = made.asm
        self.texts = [asm["ttir"].encode()]
        if "cubin" in asm:
            self.texts += [asm["ptx"].encode(), asm["cubin"], _usage(asm["cubin"])]
        else:
            self.texts += [asm["amdgcn"].encode()]
        self.told = {
            "name": name,
            "warps": made.metadata.num_warps,
            "shared": made.metadata.shared,
            "sizes": [len(text) for text in self.texts],
        }


class Catcher:
    """Stands where Triton launches."""

    def __init__(self, target: GPUTarget) -> None:
        self._target = target
        self.compiles = True
        self.kernels: list[_Kernel] = []
        self._known: dict[int, int] = {}  # by identity: Triton keeps what it compiled
        self._kept: list[Any] = []
        self._launches: list[dict[str, Any]] = []
        self._choices: list[Callable[[], Any]] = []

    def install(self) -> None:
        driver.set_active(_Elsewhere(self._target))
        compile_only = JITFunction.run
        catcher = self

        def run(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
            """Nothing is returned, as by the interpreter: a launch must not tell who launches."""
            del warmup
            made = None
            if catcher.compiles:
                named = {name: _pointed(value) for name, value in kwargs.items()}
                made = compile_only(self, *map(_pointed, args), grid=grid, warmup=True, **named)
            catcher._note(self, made, {**dict(zip(self.arg_names, args, strict=False)), **kwargs}, grid)

        def run_first(self: Any, *args: Any, **kwargs: Any) -> None:
            """Every choice must compile; the first one stands for the kernel. The others wait until the call is over: a grid
            that counts how often it was asked must not tell this from the interpreter, which asks once."""
            self.fn.run(*args, **kwargs, **self.configs[0].all_kwargs())
            others = self.configs[1:] if catcher.compiles else []
            catcher._choices += [partial(self.fn.run, *args, **kwargs, **config.all_kwargs()) for config in others]

        JITFunction.run = run
        Autotuner.run = run_first

    def forget(self) -> None:
        self.kernels, self._known, self._kept, self._launches, self._choices = [], {}, [], [], []

    def compile_choices(self) -> None:
        """What an autotuner might take instead. Nothing of it counts as launched."""
        launched = len(self._launches)
        while self._choices:
            self._choices.pop(0)()
        del self._launches[launched:]

    def taken(self) -> list[dict[str, Any]]:
        launches, self._launches = self._launches, []
        return launches

    def _note(self, function: Any, made: Any, bound: dict[str, Any], grid: Any) -> None:
        if made is not None and id(made) not in self._known:
            self._kept.append(made)
            self._known[id(made)] = len(self.kernels)
            self.kernels.append(_Kernel(function.fn.__name__, made))
        sizes = [int(each) for each in (grid(bound) if callable(grid) else grid)]
        scalars = {name: value for name, value in bound.items() if type(value) is int}
        kernel = None if made is None else self._known[id(made)]
        told = {"name": function.fn.__name__, "kernel": kernel, "grid": (*sizes, 1, 1)[:3], "scalars": scalars}
        self._launches.append(told)


def _pointed(argument: Any) -> Any:
    return _Pointer(argument) if isinstance(argument, torch.Tensor) else argument


def _usage(cubin: bytes) -> bytes:
    """What the assembler's tool says of registers and stack."""
    tool = Path(triton.knobs.nvidia.ptxas.path).with_name("cuobjdump")
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        return subprocess.run([str(tool), "--dump-resource-usage", file.name], check=True, capture_output=True).stdout


os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")  # its default changes with Triton 3.10
