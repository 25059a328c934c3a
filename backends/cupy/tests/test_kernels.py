"""The fused kernels as far as a machine without a GPU goes: their arithmetic on the host, and their PTX."""

import ctypes
import inspect
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from simsnn_ref.network import cos_and_sin, tanh_jvp, tanh_vjp
from simsnn_ref.optimizers import Adam, adam_step
from simsnn_ref.testing import expect_ulp

formulas = pytest.importorskip("simsnn_ref_cupy.formulas", reason="the CuPy plug-in is not installed")
FORMULAS, SLOPE_TIMES = formulas.FORMULAS, formulas.SLOPE_TIMES

COMPILER = shutil.which("cc")
each_formula = pytest.mark.parametrize("formula", FORMULAS, ids=lambda formula: formula.name)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler here")

N = 4000
OPTIONS = (7, 1e-3, 0.9, 0.999, 1e-8)
"""Number of the step, step size, beta1, beta2 and epsilon of Adam."""


def function_of(formula, loop, signature):
    """C source of a function `run` that works on arrays, `loop` around the formula's body."""
    arrays = [f"const double *{name}_" for name in formula.inputs] + [f"double *{name}_" for name in formula.outputs]
    parameters = [*arrays, *(f"double {name}" for name in formula.scalars), "long long n"]
    loads = " ".join(f"const double {name} = {name}_[i];" for name in formula.inputs)
    made = " ".join(f"double {name};" for name in formula.outputs)
    stores = " ".join(f"{name}_[i] = {name};" for name in formula.outputs)
    return f"{signature} run({', '.join(parameters)}) {{ {loop} {{ {loads} {made} {formula.body} {stores} }} }}\n"


def run_on_the_host(formula, folder, arrays, scalars=()):
    """The formula's body, compiled for this machine without contraction, at every index."""
    source, library = folder / f"{formula.name}.c", folder / f"{formula.name}.so"
    loop = "for (long long i = 0; i < n; i++)"
    source.write_text("#include <math.h>\n" + function_of(formula, loop, "void"))
    command = [COMPILER, "-O2", "-ffp-contract=off", "-shared", "-fPIC", source, "-o", library, "-lm"]
    subprocess.run(command, check=True)
    outputs = [np.empty(len(arrays[0])) for _ in formula.outputs]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, *outputs)]
    ctypes.CDLL(str(library)).run(*pointers, *map(ctypes.c_double, scalars), ctypes.c_longlong(len(arrays[0])))
    return outputs


def numbers(n_arrays, seed=0):
    """Arrays of numbers of all sizes that occur, and a few special ones."""
    rng = np.random.default_rng(seed)
    arrays = rng.choice([-1.0, 1.0], (n_arrays, N)) * 10.0 ** rng.uniform(-12.0, 3.0, (n_arrays, N))
    arrays[:, :4] = 0.0, -0.0, 1.0, 5e-324
    return list(arrays)


@needs_compiler
def test_slope_times_is_the_core_s_formula_to_the_last_bit(tmp_path):
    x, y = numbers(2)
    h = np.tanh(x)
    (z,) = run_on_the_host(SLOPE_TIMES, tmp_path, [h, y])
    assert np.array_equal(z, tanh_vjp(h, y))
    assert np.array_equal(z, tanh_jvp(h, y))


@needs_compiler
def test_adam_step_is_the_core_s_formula_to_the_last_bit(tmp_path):
    theta, g, m, v = numbers(4)
    v = np.abs(v)
    arguments = theta, g, m, v, np, *OPTIONS
    given = formulas.ADAM_STEP.arguments(*arguments)
    outputs = run_on_the_host(formulas.ADAM_STEP, tmp_path, given[:4], given[4:])
    for got, expected in zip(outputs, adam_step(*arguments), strict=True):
        assert np.array_equal(got, expected)


@needs_compiler
def test_cos_and_sin_within_an_ulp(tmp_path):
    # The phase is rounded once, by both; what the C library promises of its functions is an ulp.
    product, phases = numbers(2)
    wide = (product + phases).astype(np.longdouble)
    outputs = run_on_the_host(formulas.COS_AND_SIN, tmp_path, [product, phases])
    for got, core, exact in zip(outputs, cos_and_sin(product, phases, np), (np.cos(wide), np.sin(wide)), strict=True):
        expect_ulp("the kernel", got, exact, 1.0)
        expect_ulp("the core", core, exact, 4.0)


@needs_compiler
def test_another_formula_is_found(tmp_path):
    """1 - h^2 is not factored, a difference that the tests above are to see."""
    wrong = replace(SLOPE_TIMES, name="wrong", body="z = (1.0 - h * h) * y;")
    h, y = np.tanh(numbers(1)[0]), np.ones(N)
    assert not np.array_equal(run_on_the_host(wrong, tmp_path, [h, y])[0], tanh_vjp(h, y))


# PTX


def nvrtc_ptx(source, architecture, options):
    """PTX by the binding to NVRTC with which CuPy itself compiles; None without the library."""
    nvrtc = pytest.importorskip("cupy_backends.cuda.libs.nvrtc", reason="CuPy is not installed")
    try:
        nvrtc.getVersion()
    except RuntimeError:
        return None
    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    nvrtc.compileProgram(program, (f"--gpu-architecture=compute_{architecture}", *options))
    ptx = nvrtc.getPTX(program)
    return ptx.decode() if isinstance(ptx, bytes) else ptx


def nvcc_ptx(source, architecture, options, folder):
    path = folder / "kernel.cu"
    path.write_text(source)
    output = path.with_suffix(".ptx")
    command = ["nvcc", "-ptx", f"-arch=compute_{architecture}", *options, path, "-o", output]
    subprocess.run(command, check=True)
    return output.read_text()


def ptx_of(formula, architecture, folder, options=None):
    source = function_of(
        formula,
        "const long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; if (i < n)",
        'extern "C" __global__ void',
    )
    if options is None:
        kernels = pytest.importorskip("simsnn_ref_cupy.kernels", reason="CuPy is not installed")
        options = kernels.OPTIONS if formula.exact else ()
    ptx = nvrtc_ptx(source, architecture, options)
    if ptx is None:
        if shutil.which("nvcc") is None:
            pytest.skip("neither NVRTC (pip install nvidia-cuda-nvrtc) nor nvcc here")
        ptx = nvcc_ptx(source, architecture, options, folder)
    return ptx


@pytest.mark.parametrize("architecture", ["80", "90"])
@each_formula
def test_ptx(formula, architecture, tmp_path):
    ptx = ptx_of(formula, architecture, tmp_path)
    assert f".target sm_{architecture}" in ptx
    # One pass over memory: each array is read or written once.
    assert len(re.findall(r"\bld\.global(?:\.nc)?\.f64", ptx)) == len(formula.inputs)
    assert len(re.findall(r"\bst\.global\.f64", ptx)) == len(formula.outputs)
    if formula.exact:
        assert ".f32" not in ptx
        assert ".local" not in ptx
        # The operations that IEEE 754 rounds, each for itself.
        assert set(re.findall(r"\b(?:add|sub|mul|div|sqrt|fma|neg|rcp)[.\w]*\.f64", ptx)) <= {
            *("add.f64", "sub.f64", "mul.f64"),
            *("add.rn.f64", "sub.rn.f64", "mul.rn.f64", "div.rn.f64", "sqrt.rn.f64"),
        }
    else:
        # The table for phases beyond 10^5 turns is the library's, of cosine and of sine alike.
        assert len(re.findall(r"\.local \.align", ptx)) <= 1


def test_contraction_would_be_seen(tmp_path):
    ptx = ptx_of(formulas.ADAM_STEP, "80", tmp_path, options=("--fmad=true",))
    assert "fma.rn.f64" in ptx


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="no ptxas here")
@each_formula
def test_the_assembler_spills_nothing(formula, tmp_path):
    path = tmp_path / "kernel.ptx"
    path.write_text(ptx_of(formula, "90", tmp_path))
    command = ["ptxas", "-arch=sm_90", "-v", path, "-o", path.with_suffix(".cubin")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "0 bytes spill stores, 0 bytes spill loads" in done.stdout + done.stderr


def test_arguments_of_adam_are_found_by_name():
    step, rate, beta1, beta2, epsilon = OPTIONS
    assert (Adam().beta1, Adam().beta2, Adam().epsilon) == (beta1, beta2, epsilon)
    names = list(adam_step.__wrapped__.__annotations__)[:10]
    taken = list(inspect.signature(formulas.ADAM_STEP.arguments).parameters)
    # The kernel has no use for the namespace.
    assert [name for name in names if name != "xp"] == [name for name in taken if name != "_"]
    given = formulas.ADAM_STEP.arguments("theta", "g", "m", "v", np, *OPTIONS)
    assert given[:4] == formulas.ADAM_STEP.inputs
    assert dict(zip(formulas.ADAM_STEP.scalars, given[4:], strict=True)) == {
        "learning_rate": rate,
        "beta1": beta1,
        "beta2": beta2,
        "epsilon": epsilon,
        "correction1": 1.0 - beta1**step,
        "correction2": 1.0 - beta2**step,
    }
