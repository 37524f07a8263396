"""Kernels that are one thing when they are compiled and another when they are checked, or whose work is not counted."""

from __future__ import annotations

from kernel_attack import BY_FACE, IN_VAIN, LAUNCH, STORE, TWO_FACED, KernelAttack, edited, first, inside, top


def told_by(line: str) -> str:
    """A kernel that is empty where this says that it is being compiled."""
    return first(line, (LAUNCH, BY_FACE), of=TWO_FACED)


def in_kernel(condition: str) -> str:
    return inside(f"    if {condition}:\n        return\n")


TWO_FACES = (
    KernelAttack(
        "look at a tensor's text",
        told_by('    is_compiled = f"{x}"[0] == "F"\n'),
        "violation",
        "reflection",
        ("violation", "impossible"),
    ),
    KernelAttack("the same with str()", told_by('    is_compiled = str(x)[0] == "F"\n'), "violation", "reflection"),
    KernelAttack("the same with repr()", told_by('    is_compiled = repr(x)[0] == "F"\n'), "violation", "reflection"),
    KernelAttack(
        "the same with format", told_by('    is_compiled = "{0}".format(x)[0] == "F"\n'), "violation", "torch computes"
    ),
    KernelAttack("the same with %", told_by('    is_compiled = ("%s" % (x,))[0] == "F"\n'), "violation", "reflection"),
    KernelAttack("ask for the type", told_by("    is_compiled = type(x) != torch.Tensor\n"), "violation", "reflection"),
    KernelAttack("reach for the class", told_by("    is_compiled = x.__class__ != torch.Tensor\n"), "violation", "reflection"),
    KernelAttack("ask whether a tensor is the same", told_by("    is_compiled = x.view_as(x) is x\n"), "violation", "identity"),
    KernelAttack(
        "look for a tensor in a list",
        told_by("    is_compiled = bool([x, weight].index(weight))\n"),
        "violation",
        "torch computes",
    ),
    KernelAttack(
        "look at what a launch returns",
        first(
            f"    y = torch.empty_like(x)\n    done = {LAUNCH.strip()}\n    is_compiled = done is not None\n".replace(
                "(R,)", "(x.shape[0],)"
            )
            .replace(" C, eps", " x.shape[1], eps")
            .replace("(C)", "(x.shape[1])")
            .replace("num_warps", "EMPTY=False, num_warps"),
            (LAUNCH, BY_FACE),
            of=TWO_FACED,
        ),
        "violation",
        "launch",
        (IN_VAIN, ""),
    ),
    *(
        KernelAttack(f"ask the kernel for .{name}", told_by(f"    is_compiled = norm.{name} is None\n"), "violation", "launch")
        for name in ("run", "warmup", "fn", "cache", "add_pre_run_hook", "src", "arg_names", "device_caches")
    ),
    KernelAttack(
        "launch by .run",
        edited(("norm[(R,)](", "norm.run("), (", num_warps=4)", ", num_warps=4, grid=(R,), warmup=False)")),
        "violation",
        "no kernel",
    ),
    KernelAttack("ask triton.knobs", told_by("    is_compiled = not triton.knobs.runtime.interpret\n"), "violation", "machine"),
    KernelAttack(
        "ask triton's driver", told_by("    is_compiled = triton.runtime.driver.active.is_active()\n"), "violation", "machine"
    ),
    KernelAttack(
        "ask Python's modules, by way of typing", first("    import typing\n    typing.sys.exit()\n"), "violation", "machine"
    ),
    KernelAttack(
        "the same, imported", edited(("import torch\n", "import torch\nfrom typing import sys\n")), "violation", "import"
    ),
    KernelAttack(
        "in the kernel: ask whether a constant is one",
        in_kernel("isinstance(BLOCK, tl.constexpr)"),
        "violation",
        "kernel language",
    ),
    KernelAttack("in the kernel: ask which GPU it is", in_kernel("tl.target_info.is_cuda()"), "violation", "kernel language"),
    KernelAttack(
        "in the kernel: reach for the value's handle", in_kernel("row.handle is None"), "violation", "kernel language"
    ),
    KernelAttack(
        "in the kernel: any Python, by way of Triton's own modules",
        inside('    tl.core.builtins.print("here")\n'),
        "violation",
        "kernel language",
    ),
    KernelAttack(
        "in the kernel: constants that the compiler folds as Python does, and the interpreter as C",
        inside("    seven = -7\n    if seven // 2 == -4:\n        return\n"),
        "crash",
        "wrong: odd_fp32",
    ),
    KernelAttack(
        "in the kernel: an argument of 1, which is a constant to the compiler",
        inside(
            "    if (-one) // 2 == -1:\n        return\n",
            ("C, eps, BLOCK: ", "C, eps, one, BLOCK: "),
            ("C, eps, BLOCK=", "C, eps, 1, BLOCK="),
        ),
        "crash",
        "wrong: odd_fp32",
    ),
    KernelAttack(
        "a grid that answers otherwise when it is asked again",
        first("    asked = []\n", ("norm[(R,)]", "norm[lambda meta: (R if asked.append(0) or len(asked) > 1 else 1,)]")),
        "crash",
        "wrong: odd_fp32",
    ),
    KernelAttack(
        "a grid that counts: an autotuner's choices are compiled, not interpreted",
        first(
            "    asked = []\n",
            ("norm[(R,)]", "norm[lambda meta: (asked.append(0) or R,)]"),
            (
                ", BLOCK=triton.next_power_of_2(C), num_warps=4)\n",
                ", BLOCK=triton.next_power_of_2(C))\n"
                "    if len(asked) < 2:\n        norm[(R,)](x, weight, y, C, eps, BLOCK=triton.next_power_of_2(C))\n",
            ),
            (
                "@triton.jit",
                '@triton.autotune(configs=[triton.Config({}, num_warps=n) for n in (2, 4)], key=["C"])\n@triton.jit',
            ),
        ),
        IN_VAIN,
        "its choices are compiled after the call",
    ),
)

AT_IMPORT = (
    KernelAttack(
        "a decorator that runs code",
        top("\n\ndef noted(fn):\n    return fn\n", ("def kernel_fn", "@noted\ndef kernel_fn")),
        "violation",
        "state",
    ),
    KernelAttack(
        "an annotation that keeps a list",
        edited(("def kernel_fn(x,", "def kernel_fn(x: (SEEN := []),"), ("from __future__ import annotations\n", "")),
        "violation",
        "state",
    ),
    KernelAttack(
        "a default that is shared", edited(("weight, eps):\n    R", "weight, eps, seen=[]):\n    R")), "violation", "state"
    ),
    KernelAttack("a class body", top("\n\nclass Notes:\n    seen = []\n"), "violation", "state"),
    KernelAttack("an assertion at the top", top("assert torch.empty(1) is not None\n"), "violation", "state"),
    KernelAttack(
        "a heuristic that computes",
        edited(("@triton.jit", '@triton.heuristics({"BLOCK": lambda args: int(args["x_ptr"].sum())})\n@triton.jit')),
        "violation",
        "torch computes",
    ),
    KernelAttack(
        "a hook of an autotuner's configuration",
        top(
            "\n\ndef hook(args):\n    pass\n",
            ("@triton.jit", '@triton.autotune(configs=[triton.Config({}, pre_hook=hook)], key=["C"])\n@triton.jit'),
        ),
        "violation",
        "state",
    ),
    KernelAttack(
        "a name of its own for what is launched",
        edited(("@triton.jit", '@triton.jit(repr=lambda _: "norm")')),
        "violation",
        "state",
    ),
    KernelAttack(
        "a generator that goes on between calls",
        top("\n\ndef numbers():\n    yield 1\n"),
        "violation",
        "deferred work",
    ),
    KernelAttack(
        "another meaning for an imported name",
        top("\n\ndef root(math):\n    return math.sqrt()\n", ("import torch\n", "import math\n\nimport torch\n")),
        "violation",
        "replaced",
    ),
)

HIDDEN_WORK = (
    KernelAttack(
        "in a function that is called and not inlined",
        top("\n\n@triton.jit(noinline=True)\ndef root(value):\n    return tl.sqrt(value)\n", ("1.0 / tl.sqrt(", "1.0 / root(")),
        "crash",
        "static_cost cannot be told",
    ),
    KernelAttack(
        "in a while loop",
        edited((STORE, "    left = C\n    while left > 0:\n        left -= BLOCK\n    " + STORE)),
        "crash",
        "static_cost cannot be told",
    ),
    KernelAttack(
        "in a loop whose length is read from memory",
        edited((STORE, "    for _ in range((tl.load(x_ptr) < 0).to(tl.int32) | 1):\n    " + STORE)),
        "crash",
        "static_cost cannot be told",
    ),
    KernelAttack(
        "in a loop whose length has the name of a constant of another value",
        edited(
            (STORE, "    turns = (tl.load(x_ptr) < 0).to(tl.int32) | 1\n    for _ in range(turns):\n    " + STORE),
            ("eps, BLOCK: tl", "eps, turns: tl.constexpr, BLOCK: tl"),
            ("eps, BLOCK=", "eps, 1, BLOCK="),
        ),
        "crash",
        "static_cost cannot be told",
    ),
    KernelAttack(
        "in a kernel that is not launched while it is compiled",
        told_by('    is_compiled = f"{x}"[0] == "F"\n').replace("(R,)", "(1 if is_compiled else R,)"),
        "violation",
        "reflection",
        ("violation", "two faces"),
    ),
)

FORMS = (
    KernelAttack(
        "return an input", edited(("    return y", "    return x.view(R, C)")), "crash", "lies in the memory of an input"
    ),
    KernelAttack(
        "return one row for all", edited(("    return y", "    return y[:1].expand(R, C)")), "crash", "not contiguous"
    ),
    KernelAttack("return another shape", edited(("    return y", "    return y.view(-1)")), "crash", "its shape is"),
    KernelAttack("return a tuple more", edited(("    return y", "    return y, y")), "crash", "it is a tuple of 2"),
    KernelAttack(
        "return what lies elsewhere",
        edited(("    return y", '    return torch.empty(x.shape, device="meta")')),
        "crash",
        "an output is on meta",
    ),
)

TAKING = (
    KernelAttack("memory without end", first("    big = torch.empty(1 << 50)\n"), "crash", "the subject ended before `answer`"),
    KernelAttack(
        "a loop without end around the kernel", first("    while True:\n        pass\n"), "timeout", "timeout_s", timeout_s=4.0
    ),
    KernelAttack(
        "a loop without end in the kernel",
        inside("    left = C\n    while left > 0:\n        left += 0\n"),
        "timeout",
        "timeout_s",
        timeout_s=6.0,
    ),
    KernelAttack(
        "a fork bomb",
        top("import os, time\nfor _ in range(8):\n    os.fork()\ntime.sleep(60)\n"),
        "violation",
        "import",
        ("violation", "processes"),
    ),
    KernelAttack(
        "write over the sealed reference",
        top('open("reference.py", "w").write("def reference_fn(*a): return a[0]")\n'),
        "violation",
        "reflection",
        ("crash", "Read-only file system"),
    ),
    KernelAttack(
        "print a gigabyte",
        first('    print("x" * (1 << 25))\n' * 4),
        "violation",
        "reflection",
        (IN_VAIN, ""),
    ),
)
