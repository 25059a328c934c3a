"""Files that are damaged, cut, spliced or forged: a typed error, or exactly what was written.

Every family of mutants runs from fixed seeds, 1,600 each time and 26,000 with ``-m slow``. Damaged bytes
leave the checksums as they were. Forged headers and contents have theirs made right again, so that what is behind them
is reached; what is then accepted has to work.
"""

import contextlib
import copy
import hashlib
import io
import json
import signal
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simsnn_ref import fit, load_model
from simsnn_ref.errors import ModelFileError, SimsnnError
from simsnn_ref.io import read_file, read_tensors, write_file
from simsnn_ref.report import stage_rows
from simsnn_ref.spectrum import Grid
from simsnn_ref.verify.reference import check

COMMITTED = Path(__file__).parents[1] / "verify" / "reference"
FEW, MANY = 100, 2000
BOUND = 2**20


def target(points):
    return np.sin(2.0 * points).prod(axis=1) + 0.5 * points.sum(axis=1)


def small_models():
    options = {"mode": "paper", "optimizer": "adam", "steps": 2, "hidden": (2, 3), "stages": 2, "n_features": 4}
    scattered = np.random.default_rng(0).uniform(-1.0, 1.0, (40, 2))
    yield fit(target, Grid((5, 4)), first_layer="si", **options)
    yield fit(target, Grid(7, 0.0, 2.0, periodic=False), first_layer=("si", "none"), **options)
    yield fit(target, Grid((4, 5, 4), -1.0, 2.0), first_layer=("ffm", "msnn"), **options)
    yield fit(scattered, target(scattered), first_layer="si", **options)
    yield fit(lambda p: np.full(len(p), 3.0), Grid(4))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Files by kind: their bytes."""
    folder = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(1)
    found = {"simsnn-model": [], "simsnn-checkpoint": [], "simsnn-reference": []}
    for model in small_models():
        model.save(folder / "x")
        found["simsnn-model"].append((folder / "x").read_bytes())
    state = {"moments": rng.standard_normal((3, 4)), "step": np.asarray(7), "rng": np.arange(5, dtype=np.uint8)}
    write_file(folder / "x", {"losses": [1.5, 0.25], "name": "é"}, state, "simsnn-checkpoint")
    found["simsnn-checkpoint"].append((folder / "x").read_bytes())
    found["simsnn-reference"] = [path.read_bytes() for path in sorted(COMMITTED.glob("*.safetensors"))[:2]]
    return found


@contextlib.contextmanager
def guarded(seconds=60):
    """An error instead of a hang: a mutant takes about a millisecond."""

    def stop(*_):
        raise AssertionError(f"no answer in {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(read, path, raw):
    """What reading gives, or the typed error; memory and time are bounded, the error is one line."""
    path.write_bytes(raw)
    tracemalloc.start()
    try:
        with guarded():
            result = read(path)
    except SimsnnError as error:
        result = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert not isinstance(result, SimsnnError) or len(str(result).splitlines()) == 1
    assert peak <= len(raw) + BOUND
    return result


def everything_in(content, arrays):
    """Everything that was read, to be compared."""
    return json.dumps(content), [(k, a.dtype.str, a.shape, a.tobytes()) for k, a in arrays.items()]


def counts(seed):
    """A few mutants for the default tests, others for the slow ones."""
    return pytest.mark.parametrize(
        ("count", "seed"),
        [
            pytest.param(FEW, [seed, 0], id="few"),
            pytest.param(MANY, [seed, 1], id="many", marks=pytest.mark.slow),
        ],
    )


NUMBERS = [0, 1, 7, 8, 9, 2**8 - 1, 2**16, 2**31 - 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


def damaged(raw, others, rng):
    """Some bytes changed, cut out, added, moved, or taken from another file."""
    raw = bytearray(raw)
    start = 8 + int.from_bytes(raw[:8], "little")

    def place():
        """Half of them in the header, whose bytes are fewer."""
        return int(rng.integers(min(start, len(raw)) if rng.random() < 0.5 else len(raw)))

    i, j = sorted((place(), place()))
    kind = rng.integers(9)
    if kind == 0:
        for _ in range(rng.integers(1, 5)):
            raw[place()] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        raw[i] = int(rng.choice([0, 9, 34, 44, 48, 57, 91, 92, 123, 125, 127, 128, 255]))
    elif kind == 2:
        raw[:8] = int(rng.choice(np.asarray(NUMBERS, dtype=np.uint64))).to_bytes(8, "little")
    elif kind == 3:
        del raw[i:]
    elif kind == 4:
        raw += rng.bytes(int(rng.integers(1, 100)))
    elif kind == 5:
        del raw[i : i + int(rng.integers(1, 30))]
    elif kind == 6:
        raw[i:i] = raw[j : j + int(rng.integers(1, 100))]
    elif kind == 7:
        raw[i : i + 8] = raw[j : j + 8]
    else:
        other = others[rng.integers(len(others))]
        cut = int(rng.integers(len(other)))
        raw = raw[:i] + other[cut if rng.random() < 0.5 else i :]
    return bytes(raw)


@counts(1)
@pytest.mark.parametrize("kind", ["simsnn-model", "simsnn-checkpoint", "simsnn-reference"])
def test_damaged_bytes_are_an_error_or_change_nothing(tmp_path, originals, kind, count, seed):
    rng = np.random.default_rng(seed)
    bases = originals[kind]
    everything = [raw for files in originals.values() for raw in files]
    path = tmp_path / "x"
    true = []
    for raw in bases:
        path.write_bytes(raw)
        true.append(everything_in(*read_file(path, kind)))
    refused = 0
    for i in range(count):
        base = i % len(bases)
        result = outcome(lambda p: read_file(p, kind), path, damaged(bases[base], everything, rng))
        if isinstance(result, ModelFileError):
            refused += 1
        else:
            assert everything_in(*result) in true
    assert refused > 0.9 * count


NASTY = [
    None, True, False, 0, -1, 1, 2, 3.5, -0.0, 1e308, 5e-324, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63), "", "x", "é",
    "\ud800", "\n", "none", "si", "auto", "1e999999999", "1/0", "0", "-1", "9" * 30, "inf", "__import__('os')", [], {},
    [[]], [0], [-1], [2**40, 2**40], [None], ["x"], [1.5], {"a": 1}, {"": None}, [1, 2, 3], [True, True], "F64", "U8",
]  # fmt: skip


def places(value, path=()):
    """Every place in a JSON value, from the outside in."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def edited(value, rng):
    """One to three entries replaced, left out, renamed, repeated or exchanged."""
    value = copy.deepcopy(value)
    for _ in range(rng.integers(1, 4)):
        spots = list(places(value))[1:]
        if not spots:
            break
        *way, last = spots[rng.integers(len(spots))]
        parent = value
        for key in way:
            parent = parent[key]
        kind = rng.integers(6)
        if kind <= 1:
            parent[last] = copy.deepcopy(NASTY[rng.integers(len(NASTY))])
        elif kind == 2:
            del parent[last]
        elif kind == 3:
            entry = parent[last]
            if isinstance(parent, list):
                parent.insert(last, copy.deepcopy(entry))
            else:
                parent[f"{last}{rng.choice(['', 'x', '2', '/'])}"] = copy.deepcopy(entry)
        elif kind == 4:
            entry = parent[last]
            if isinstance(entry, int | float) and not isinstance(entry, bool):
                parent[last] = rng.choice([-1, 0, 2, 1000]).item() * entry + rng.choice([-1, 0, 1, 0.5]).item()
            elif isinstance(entry, str):
                parent[last] = entry[::-1] or "x"
            elif isinstance(entry, list):
                entry.reverse()
        else:
            keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
            other = keys[rng.integers(len(keys))]
            parent[last], parent[other] = parent[other], parent[last]
    return value


def split(raw):
    """Header as JSON, and the bytes of the arrays."""
    start = 8 + int.from_bytes(raw[:8], "little")
    return json.loads(raw[8:start]), raw[start:]


def joined(header, data, repeat=None):
    """A file with these, its SHA-256 made right; `repeat`: the text of an entry to be there twice."""
    if isinstance(header.get("__metadata__"), dict):
        header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header)
    text = text if repeat is None else text[:-1] + repeat + "}"
    blank = len(text.encode()).to_bytes(8, "little") + text.encode() + data
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def rehashed(header, data):
    """The SHA-256 of each tensor made right, where the header still says where it is."""
    digests = header.get("__metadata__")
    for name, entry in header.items():
        with contextlib.suppress(TypeError, ValueError, KeyError, IndexError, AttributeError):
            first, last = entry["data_offsets"]
            digests[f"sha256:{name}"] = hashlib.sha256(data[first:last]).hexdigest()


@counts(2)
@pytest.mark.parametrize("kind", ["simsnn-model", "simsnn-checkpoint", "simsnn-reference"])
def test_forged_headers_are_an_error_or_describe_the_file(tmp_path, originals, kind, count, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "x"
    for i in range(count):
        header, data = split(originals[kind][i % len(originals[kind])])
        forged = edited(header, rng)
        if rng.random() < 0.7:
            rehashed(forged, data)
        if rng.random() < 0.2:
            data = data[: -int(rng.integers(1, 20))] if rng.random() < 0.5 else data + bytes(8)
        name = list(forged)[-1] if forged else "a"
        repeat = f", {json.dumps(name)}: {json.dumps(forged.get(name, 1))}" if rng.random() < 0.1 else None
        result = outcome(lambda p: read_file(p, kind), path, joined(forged, data, repeat))
        if isinstance(result, ModelFileError):
            continue
        assert repeat is None
        content, arrays = result
        assert json.dumps(content) == json.dumps(json.loads(forged["__metadata__"]["content"]))
        for name, array in arrays.items():
            first, last = forged[name]["data_offsets"]
            assert list(array.shape) == forged[name]["shape"]
            assert array.tobytes() == data[first:last]
        assert sum(array.nbytes for array in arrays.values()) == len(data)


def works(model, path):
    """A model that was accepted can be evaluated, reported and saved again."""
    points = np.asarray(model.grid.lower) + 0.3 * np.asarray(model.grid.box.lengths) * np.ones((3, 1))
    with np.errstate(all="ignore"):
        assert model(points).shape == (3,)
        assert model.gradient(points).shape == (3, model.grid.ndim)
        if isinstance(model.grid, Grid) and model.grid.size < 1000:
            assert model(model.grid).shape == model.grid.shape
    stage_rows(model.history.stages)
    model.save(path)
    assert load_model(path).config == model.config


def swapped(arrays, rng):
    """One array left out, renamed, reshaped, of another type, or with other numbers."""
    names = list(arrays)
    name, other = (names[rng.integers(len(names))] for _ in range(2))
    array = arrays[name]
    others = [
        array.T,
        array.reshape(-1),
        array[None],
        array[..., :-1],
        array[..., ::-1],
        np.zeros(array.shape, np.uint8),
        np.zeros(array.shape, np.int64 if array.dtype == np.float64 else np.float64),
        np.full(array.shape, np.nan if array.dtype == np.float64 else 2**62),
        np.full(array.shape, -1e308),
        arrays[other],
    ]
    kind = rng.integers(len(others) + 3)
    if kind < len(others):
        return arrays | {name: others[kind]}
    if kind == len(others):
        return {key: value for key, value in arrays.items() if key != name}
    return arrays | ({f"{name}x": array} if kind == len(others) + 1 else {"points": np.zeros((3, 2))})


@counts(3)
def test_forged_models_are_an_error_or_work(tmp_path, originals, count, seed):
    """With the arrays too: renamed, left out, reshaped, of another type, or not finite."""
    rng = np.random.default_rng(seed)
    path, again = tmp_path / "x", tmp_path / "again"
    bases = []
    for raw in originals["simsnn-model"]:
        path.write_bytes(raw)
        bases.append(read_file(path))
    accepted = 0
    for i in range(2 * count):
        content, arrays = bases[i % len(bases)]
        content, arrays = copy.deepcopy(content), dict(arrays)
        if rng.random() < 0.75:
            content = edited(content, rng)
        else:
            arrays = swapped(arrays, rng)
        result = outcome(load_model, path, joined(*header_of(content, arrays)))
        if not isinstance(result, SimsnnError):
            accepted += 1
            works(result, again)
    assert 0 < accepted < count


def header_of(content, arrays):
    """As `write_file` has them, but without looking at them."""
    entries, data, metadata = {}, b"", {"format": "simsnn-model", "format_version": "1", "content": json.dumps(content)}
    for name, array in arrays.items():
        blob = np.ascontiguousarray(array).tobytes()
        entries[name] = {
            "dtype": {"f": "F64", "i": "I64", "u": "U8"}[array.dtype.kind],
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + len(blob)],
        }
        metadata[f"sha256:{name}"] = hashlib.sha256(blob).hexdigest()
        data += blob
    return {"__metadata__": metadata, **entries}, data


@counts(4)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_archives_are_an_error_or_change_nothing(tmp_path, save, count, seed):
    rng = np.random.default_rng(seed)
    path = tmp_path / "x.npz"
    arrays = {"u": rng.standard_normal(5), "grad.W1": np.zeros((6, 4)), "loss": np.asarray(0.5), "e": np.zeros((0, 2))}
    save(path, **arrays)
    raw = path.read_bytes()
    spliced = {"u": np.zeros(9), "v": np.ones(3)}
    save(path, **spliced)
    others = [raw, path.read_bytes()]
    for _ in range(count):
        result = outcome(read_tensors, path, damaged(raw, others, rng))
        if not isinstance(result, ModelFileError):
            for name, array in result.items():
                same = [a[name] for a in (arrays, spliced) if name in a and a[name].shape == array.shape]
                assert [a.tobytes() for a in same] == [array.tobytes()]


NPY = [
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }", b"{'descr': '<f8', 'shape': (3, 2)}", b"", b"{}",
    b"{'descr': '<f8', 'fortran_order': True, 'shape': (3, 2), }", b"(" * 3000, b"-" * 3000 + b"1", b"'\\d'",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (6,), }", b"{'descr': 'O8', 'fortran_order': 0, 'shape': 6}",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", b"__import__('os').abort()",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999999, 0), }", b"\xff\xfe",
    b"{'descr': [('a', '<f8')]}",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (0, 0, 0), }", b"{'descr': '<f8', 'descr': '<f8'}",
]  # fmt: skip


@counts(5)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_forged_archives_are_an_error_or_hold_what_they_say(tmp_path, count, seed):
    """Members of the right CRC-32 with bad headers, sizes, names and methods; nothing is evaluated or unpickled."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "x.npz"
    methods = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    for _ in range(count):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for _ in range(rng.integers(1, 4)):
                header = NPY[rng.choice([0, rng.integers(len(NPY))])]
                if rng.random() < 0.2:
                    header = bytearray(header) + b" "
                    header[rng.integers(len(header))] = rng.integers(32, 127)
                    header = bytes(header)
                version = int(rng.choice([1, 1, 1, 2, 3, 4]))
                size = len(header) + int(rng.choice([0, 0, 0, 0, -1, 1, 60000]))
                length = max(size, 0).to_bytes(2 if version == 1 else 4, "little")
                data = bytes(int(rng.choice([48, 48, 48, 0, 47, 49, 400_000])))
                blob = b"\x93NUMPY" + bytes([version, 0]) + length + header + data
                name = str(rng.choice(["a.npy", "b.npy", "c.npy", "a", "../a.npy", ".npy", "é.npy"]))
                archive.writestr(name, blob, methods[rng.choice([0, 0, 0, 1, 1, 2, 3])])
        result = outcome(read_tensors, path, buffer.getvalue())
        if not isinstance(result, ModelFileError):
            for array in result.values():
                assert array.dtype == np.float64
                assert not array.any()
                assert array.nbytes in (0, 48)


@counts(6)
def test_forged_manifests_are_an_error_or_work(tmp_path, count, seed):
    """The manifest says how far off a tensor may be, so a changed one may change a verdict, but nothing breaks."""
    rng = np.random.default_rng(seed)
    entry = json.loads((COMMITTED / "manifest.json").read_text("utf-8"))
    entry["cases"] = entry["cases"][:1]
    file = COMMITTED / entry["cases"][0]["file"]
    (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "manifest.json"
    for i in range(count):
        raw = json.dumps(edited(entry, rng)).encode()
        if i % 4 == 0:
            raw = damaged(json.dumps(entry).encode(), [raw], rng)
        path.write_bytes(raw)
        with guarded(), contextlib.suppress(SimsnnError):
            assert len(check(tmp_path, COMMITTED)) > 10


sizes = st.integers(-1, 3) | st.sampled_from(NUMBERS) | st.sampled_from([True, 1.0, None, "1"])
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F64", "I64", "U8", "F32", "", None, 1]),
        "shape": st.lists(sizes, max_size=3) | sizes,
        "data_offsets": st.lists(sizes | st.integers(0, 64), min_size=1, max_size=3),
    }
)


@pytest.mark.parametrize("examples", [150, pytest.param(2000, marks=pytest.mark.slow)])
def test_any_header_is_an_error_or_describes_the_file(tmp_path, examples):
    path = tmp_path / "x"

    @settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(
        header=st.dictionaries(st.text(max_size=3), entries | st.none() | st.integers(), max_size=3),
        metadata=st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers() | st.none(), max_size=2),
        data=st.binary(max_size=64),
        content=st.sampled_from(["{}", "[]", "", "{", '{"a": 1e999}', '{"a": NaN}', "[" * 2000, '{"a":1,"a":1}']),
    )
    def run(header, metadata, data, content):
        metadata |= {"format": "simsnn-model", "format_version": "1", "content": content}
        result = outcome(read_file, path, joined({"__metadata__": metadata, **header}, data))
        if not isinstance(result, ModelFileError):
            assert result[0] == {} == json.loads(content)
            assert sum(array.nbytes for array in result[1].values()) == len(data)

    run()


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=300))
def test_any_bytes_are_an_error(tmp_path, raw):
    for name, read in (("x", read_file), ("x", read_tensors), ("x.npz", read_tensors), ("x", load_model)):
        assert isinstance(outcome(read, tmp_path / name, raw), ModelFileError)
