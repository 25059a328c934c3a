"""Every name that the plug-in and the numerics use, with its arguments, against the CuPy that is installed.

Nothing is called: signatures are bound to what stands in the source.
"""

import ast
import inspect
from pathlib import Path

import pytest

import simsnn_ref

cupy = pytest.importorskip("cupy", reason="CuPy is not installed (pip install 'simsnn-ref-cupy[cuda13]')")
plugin = pytest.importorskip("simsnn_ref_cupy", reason="the CuPy plug-in is not installed")

import array_api_compat.cupy as array_api  # noqa: E402
from cupyx.scipy import fft  # noqa: E402

CORE = Path(simsnn_ref.__file__).parent
PLUGIN = Path(plugin.__file__).parent


def dotted(node):
    """A chain of attributes as text; None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def uses(folder, roots):
    """(name after the root, a call's positional and keyword arguments or None, place): `self.xp.` counts as `xp.`."""
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            name = dotted(node) if isinstance(node, ast.Attribute) else None
            for root in roots:
                if name and f".{name}".count(f".{root}.") == 1:
                    yield f".{name}".partition(f".{root}.")[2], calls.get(id(node)), f"{path.name}:{node.lineno}"


def resolve(root, name):
    found = root
    for part in name.split("."):
        found = getattr(found, part)
    return found


def problem(root, name, call):
    """Why the use would fail, in words; empty if it would not."""
    try:
        found = resolve(root, name)
    except AttributeError:
        return f"{name} does not exist"
    if call is None:
        return ""
    starred = any(isinstance(argument, ast.Starred) for argument in call.args)
    keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
    if isinstance(found, cupy.ufunc):
        fits = len(call.args) == found.nin and not keywords
        return "" if fits else f"{name} takes {found.nin} arrays, not {len(call.args)} and {sorted(keywords)}"
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        # A class or function in C that does not tell: its name is all that can be checked.
        return ""
    bind = signature.bind_partial if starred else signature.bind
    try:
        bind(*(None for argument in call.args if not isinstance(argument, ast.Starred)), **keywords)
    except TypeError as error:
        return f"{name}: {error}"
    return ""


def problems(root, found):
    return [f"{place}: {why}" for name, call, place in found if (why := problem(root, name, call))]


def test_the_namespace_has_what_the_core_uses():
    found = list(uses(CORE, ["xp"]))
    assert len({name for name, _, _ in found}) >= 35
    assert len([call for _, call, _ in found if call is not None]) >= 200
    assert problems(array_api, found) == []


def test_cupy_has_what_the_plugin_uses():
    found = list(uses(PLUGIN, ["cupy"]))
    assert {name for name, _, _ in found} >= {"asarray", "asnumpy", "ElementwiseKernel", "cuda.Device", "ndarray"}
    assert problems(cupy, found) == []


def test_the_transforms_are_there():
    found = list(uses(PLUGIN, ["fft"]))
    assert {name for name, _, _ in found} == {"rfft", "fftn", "ifftn", "irfft"}
    assert problems(fft, found) == []


def test_members_of_classes_are_there():
    for kind, names in (
        (cupy.cuda.Device, ("id", "mem_info", "synchronize", "use")),
        (cupy.cuda.MemoryPool, ("free_bytes", "used_bytes", "get_limit")),
        (cupy.ndarray, ("T", "device", "dtype", "ndim", "shape", "size", "__setitem__", "__matmul__", "__float__")),
    ):
        assert [name for name in names if not hasattr(kind, name)] == []
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)


def in_source(source):
    call = ast.parse(source, mode="eval").body
    return dotted(call.func).partition(".")[2], call


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("xp.no_such_name(x)", "no_such_name does not exist"),
        ("xp.linalg.no_such_name(x)", "linalg.no_such_name does not exist"),
        ("xp.sum(x, axes=0)", "sum: got an unexpected keyword argument 'axes'"),
        ("xp.tanh(x, y)", "tanh takes 1 arrays, not 2 and []"),
        ("xp.take(x)", "take: missing a required argument: 'indices'"),
        ("xp.argsort(x, stable=True)", ""),
    ],
)
def test_the_checker_sees_what_is_wrong(source, why):
    assert problem(array_api, *in_source(source)) == why


@pytest.mark.parametrize("name", ["vecdot", "unstack"])
def test_names_that_only_the_wrapper_has(name):
    """Why the namespace is that of array-api-compat: CuPy's own lacks these."""
    assert hasattr(array_api, name)
    assert not hasattr(cupy, name)


def test_only_to_numpy_copies_to_the_host():
    """No other function of the plug-in has a way to the host in it."""
    ways = {"asnumpy", "get", "item", "tolist", "__array__", "float", "int", "bool", "complex"}
    allowed = {("to_numpy", "asnumpy"), ("free_bytes", "int"), ("_find", "int")}
    found = set()
    for path in sorted(PLUGIN.rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call):
                        name = (dotted(node.func) or "").rpartition(".")[2]
                        found |= {(function.name, name)} & {(function.name, way) for way in ways}
    assert found == allowed
