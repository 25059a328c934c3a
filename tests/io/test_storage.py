"""The file format: what is written comes back to the bit, and nothing damaged or foreign gets through."""

import hashlib
import json
import math
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from hypothesis.extra.numpy import arrays as arrays_of

from simsnn_ref.errors import ModelFileError, OutputError
from simsnn_ref.io import check_writable, read_file, read_tensors, write_file
from simsnn_ref.io.storage import KINDS

ARRAYS = {
    "a": np.arange(6.0).reshape(2, 3) / 7.0,
    "empty": np.zeros((0, 3)),
    "scalar": np.asarray(np.pi),
    "m": np.asarray([[-3, 2], [0, 2**40]]),
}


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "model.safetensors"
    write_file(target, {"name": "x", "nested": {"list": [1, 2.5, None, True]}}, ARRAYS)
    return target


def test_round_trip_is_exact(path):
    content, arrays = read_file(path)
    assert content == {"name": "x", "nested": {"list": [1, 2.5, None, True]}}
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].shape == array.shape
        assert arrays[name].dtype == array.dtype
        assert arrays[name].tobytes() == array.tobytes()


def test_files_are_safetensors_files(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    assert length % 8 == 0
    header = json.loads(raw[8 : 8 + length])
    assert all(isinstance(value, str) for value in header.pop("__metadata__").values())
    end = 0
    for name, array in ARRAYS.items():
        first, last = header[name]["data_offsets"]
        assert first == end
        assert last - first == array.nbytes
        assert header[name]["dtype"] == {"f": "F64", "i": "I64"}[array.dtype.kind]
        end = last
    assert 8 + length + end == len(raw)


def test_the_reader_of_the_documentation_reads(path):
    """docs/format.md, line for line, with the standard library alone."""
    raw = path.read_bytes()
    n = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n])
    meta = header.pop("__metadata__")
    assert (meta["format"], meta["format_version"]) == ("simsnn-model", "1")
    assert json.loads(meta["content"])["name"] == "x"
    blank = bytearray(raw)
    at = blank[8 : 8 + n].find(meta["sha256"].encode()) + 8
    blank[at : at + 64] = b"0" * 64
    assert hashlib.sha256(blank).hexdigest() == meta["sha256"]
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        assert last - first == math.prod(entry["shape"]) * 8
        data = raw[8 + n + first : 8 + n + last]
        assert hashlib.sha256(data).hexdigest() == meta[f"sha256:{name}"]
        numbers = struct.unpack(f"<{math.prod(entry['shape'])}{'dq'[entry['dtype'] == 'I64']}", data)
        assert list(numbers) == ARRAYS[name].ravel().tolist()


def test_every_changed_byte_is_found_and_the_tensor_named(path, tmp_path):
    raw = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    damaged = tmp_path / "x"
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 0x01
        damaged.write_bytes(changed)
        with pytest.raises(ModelFileError) as caught:
            read_file(damaged)
        for name in ARRAYS:
            first, last = header[name]["data_offsets"]
            if first <= position - start < last:
                assert f"damaged: the SHA-256 checksum does not match: tensor {name} has changed" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -100, -1])
def test_truncated(path, tmp_path, keep):
    cut = tmp_path / "cut"
    cut.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=r"cut: (not a simsnn file|truncated)"):
        read_file(cut)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x93NUMPY" + bytes(200), "not a simsnn file"),
        (b"PK\x03\x04" + bytes(200), "not a simsnn file"),
        (struct.pack("<Q", 2) + b"[]", "not a simsnn file"),
        (struct.pack("<Q", 2) + b"{}", "not a simsnn-model file"),
        (struct.pack("<Q", 4) + b"\xff\xff\xff\xff", "not a simsnn file"),
        (struct.pack("<Q", 6) + b'{"\xff":1', "not UTF-8"),
        (struct.pack("<Q", 5000) + b'{"a":' + b"[" * 4995, "nested too deeply"),
        (struct.pack("<Q", 100_000) + b'{"a":' + b"[" * 99_995, "memory"),
        (struct.pack("<Q", 2**63) + b"{}", "truncated, or not a simsnn file"),
        (b"", "not a simsnn file"),
    ],
)
def test_foreign_file(tmp_path, raw, message):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(raw)
    with pytest.raises(ModelFileError, match=message):
        read_file(foreign)


def test_missing_file(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read: No such file"):
        read_file(tmp_path / "nothing")


def test_unknown_version_says_what_to_do(path, monkeypatch):
    monkeypatch.setattr("simsnn_ref.io.storage.FORMAT_VERSION", "2")
    with pytest.raises(ModelFileError, match=r"format version 1, this program reads 2; update simsnn-ref"):
        read_file(path)


def forge(path, change, raw_header=None):
    """Rewrite the header with `change`, the lengths and the SHA-256 of the file made right again."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    changed = change(header, raw[start:])
    data = changed if isinstance(changed, bytes) else raw[start:]
    header["__metadata__"]["sha256"] = "0" * 64
    text = json.dumps(header).encode() if raw_header is None else raw_header(header)
    blank = len(text).to_bytes(8, "little") + text + data
    path.write_bytes(blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, d: h["a"].update(shape=[9]), r"a: the shape \[9\] of F64 does not fit bytes 0 to 48"),
        (lambda h, d: h["a"].update(shape=[2**60]), "a: the shape .* is larger than any array"),
        (lambda h, d: h["a"].update(shape=[2**70]), "does not fit in 64 bits"),
        (lambda h, d: h["empty"].update(shape=[0, 2**62]), "empty: the shape .* is larger than any array"),
        (lambda h, d: h["a"].update(shape=[-2, -3]), "a: the shape is not a list of up to 32 sizes"),
        (lambda h, d: h["a"].update(shape=[2.0, 3]), r"header: a.shape\[0\] is not a whole number"),
        (lambda h, d: h["a"].update(shape=[True, 6]), r"header: a.shape\[0\] is not a whole number"),
        (lambda h, d: h["a"].update(shape=[1] * 40), "a: the shape is not a list of up to 32 sizes"),
        (lambda h, d: h["a"].update(dtype="F32"), "a has the type F32; F64 or I64 or U8 is needed"),
        (lambda h, d: h["a"].update(dtype=["F64"]), "header: a.dtype is not a string"),
        (lambda h, d: h["a"].update(data_offsets=[0, 48, 96]), "a: the data_offsets are not two places"),
        (lambda h, d: h["a"].pop("shape"), "header: a.shape is missing"),
        (lambda h, d: h["a"].update(extra=1), "header: a.extra is not known to this version"),
        (
            lambda h, d: h["a"].update(data_offsets=[8, 56]),
            "(a|scalar) (overlaps|leaves a gap after) the tensor before",
        ),
        (lambda h, d: h["scalar"].update(data_offsets=[0, 8]), "(a|scalar) overlaps the tensor before"),
        (lambda h, d: d + b"12345", "5 bytes too many at the end"),
        (lambda h, d: d[:-5], "truncated: m not complete, 5 bytes are missing"),
        (lambda h, d: h.pop("m"), "32 bytes too many at the end"),
        (lambda h, d: (h.pop("m"), d[:-32])[1], "tensor m is missing: there is a SHA-256 of it"),
        (lambda h, d: h["__metadata__"].pop("sha256:m"), "there is no SHA-256 of tensor m"),
        (lambda h, d: h["__metadata__"].update({"sha256:m": "0"}), "tensor m has changed"),
        (lambda h, d: h["__metadata__"].update(n=1), "header: __metadata__.n is not a string"),
        (lambda h, d: h["__metadata__"].update(content="[]"), "content is not an object"),
        (lambda h, d: h["__metadata__"].update(content='{"a": NaN}'), "content: NaN is no number of JSON"),
        (lambda h, d: h["__metadata__"].update(content='{"a": 1e400}'), "content: the number 1e400 is out of range"),
        (lambda h, d: h["__metadata__"].update(content='{"a": ' + "9" * 5000 + "}"), "content: the number .* 64 bits"),
        (lambda h, d: h["__metadata__"].update(content='{"a": 1, "a": 2}'), "content: a is there twice"),
        (lambda h, d: h["__metadata__"].update(content="{"), "content: not JSON"),
        (lambda h, d: h["__metadata__"].pop("content"), "content: not JSON"),
        (lambda h, d: h.update({"\ud800": h.pop("m")}), r"header: the name .* is not Unicode"),
    ],
)
def test_headers_that_lie_under_a_right_checksum(path, change, message):
    forge(path, change)
    with pytest.raises(ModelFileError, match=message) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)


def test_a_tensor_described_twice_is_named(path):
    forge(path, lambda h, d: None, lambda h: json.dumps(h).replace('"scalar": {', '"a": {').encode())
    with pytest.raises(ModelFileError, match="header: a is there twice"):
        read_file(path)


def test_files_from_before_the_digests_of_tensors_are_read(path):
    def older(header, data):
        header["__metadata__"] = {k: v for k, v in header["__metadata__"].items() if not k.startswith("sha256:")}

    forge(path, older)
    assert list(read_file(path)[1]) == list(ARRAYS)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match="some byte has changed"):
        read_file(path)


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_says_what_it_is_and_what_reads_it(tmp_path, kind):
    path = tmp_path / "x"
    write_file(path, {}, ARRAYS, kind)
    assert list(read_file(path, kind)[1]) == list(ARRAYS)
    for other in KINDS.keys() - {kind}:
        with pytest.raises(ModelFileError, match=f"not a {other} file but {KINDS[kind]}"):
            read_file(path, other)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        for read in (read_file, read_tensors):
            with pytest.raises(ModelFileError, match="not a regular file"):
                read(place)
    with pytest.raises(ModelFileError, match="no name of a file"):
        read_file("a\0b")


def test_the_safetensors_library_agrees(path, tmp_path):
    for name, array in safetensors.numpy.load_file(path).items():
        assert array.tobytes() == ARRAYS[name].tobytes()
    safetensors.numpy.save_file({"u": np.arange(3.0), "v": np.zeros((2, 0))}, tmp_path / "theirs")
    assert np.array_equal(read_tensors(tmp_path / "theirs")["u"], np.arange(3.0))


@pytest.mark.parametrize(
    ("content", "arrays", "message"),
    [
        ({}, {"a": np.zeros(2, np.float32)}, "a: arrays of float32 cannot be kept"),
        ({}, {"a": np.zeros(2, np.longdouble)}, "a: arrays of .* cannot be kept"),
        ({}, {"a": np.zeros(2, object)}, "a: arrays of object cannot be kept"),
        ({"a": np.nan}, {}, "the content is not JSON"),
        ({"a": object()}, {}, "the content is not JSON"),
        ({"a": 2**64}, {}, "does not fit in 64 bits"),
        ({"a": "x" * 2**20}, {}, "more than can be read within"),
        ({}, {str(i): np.zeros(1) for i in range(2000)}, "keep more in fewer, larger tensors"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, content, arrays, message):
    with pytest.raises(OutputError, match=message):
        write_file(tmp_path / "x", content, arrays)
    assert list(tmp_path.iterdir()) == []


any_float64 = arrays_of(np.uint64, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)).map(
    lambda bits: bits.view(np.float64) if bits.ndim else np.asarray(bits[()].view(np.float64))
)
any_int64 = arrays_of(np.int64, array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
any_uint8 = arrays_of(np.uint8, array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=9))
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = text.filter(lambda name: name != "__metadata__")
finite = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | finite | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.dictionaries(text, json_values, max_size=3),
    arrays=st.dictionaries(names, any_float64 | any_int64 | any_uint8, max_size=5),
)
def test_any_arrays_and_any_content_come_back_to_the_bit(tmp_path, content, arrays):
    path = tmp_path / "x"
    write_file(path, content, arrays)
    read, found = read_file(path)
    assert json.dumps(read) == json.dumps(content)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert (found[name].shape, found[name].dtype) == (array.shape, array.dtype)
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.writeable
        assert found[name].flags.aligned


def test_order_in_memory_does_not_matter(tmp_path):
    a = np.arange(24.0).reshape(2, 3, 4)
    write_file(tmp_path / "x", {}, {"t": a.T, "big": a.astype(">f8"), "strided": a[:, ::2]})
    _, found = read_file(tmp_path / "x")
    assert np.array_equal(found["t"], a.T)
    assert np.array_equal(found["big"], a)
    assert np.array_equal(found["strided"], a[:, ::2])


def peak_of(function, *arguments):
    """Bytes allocated at most during a call, what it returns or raises included."""
    tracemalloc.start()
    try:
        result = function(*arguments)
        return tracemalloc.get_traced_memory()[1], result
    except ModelFileError as error:
        return tracemalloc.get_traced_memory()[1], error
    finally:
        tracemalloc.stop()


def test_reading_takes_the_size_of_the_file_and_a_mebibyte_at_most(tmp_path):
    arrays = {f"stage{i}/W": np.random.default_rng(i).standard_normal((300, 1000)) for i in range(5)}
    arrays |= {f"record{i}/rms": np.zeros(3) for i in range(700)}
    write_file(tmp_path / "x.safetensors", {"notes": ["n"] * 200}, arrays)
    few = dict(list(arrays.items())[:300])
    np.savez(tmp_path / "x.npz", **few)
    np.savez_compressed(tmp_path / "z.npz", **few)
    for read, name in (
        (read_file, "x.safetensors"),
        (read_tensors, "x.safetensors"),
        (read_tensors, "x.npz"),
        (read_tensors, "z.npz"),
    ):
        peak, result = peak_of(read, tmp_path / name)
        assert not isinstance(result, ModelFileError)
        assert peak <= (tmp_path / name).stat().st_size + 2**20, name


@pytest.mark.parametrize("size", [2_000, 8_000, 50_000, 1_000_000])
@pytest.mark.parametrize(
    "item",
    [
        b"[],",
        b"[[]],",
        b"[1],",
        b"{},",
        b'{"a":1},',
        b'{"a":{}},',
        b"1e9,",
        b"99999,",
        b'"",',
        b'"ab",',
        b"null,",
        b'"\\ud83d\\ude00",',
    ],
)
def test_no_header_makes_the_reader_take_more(tmp_path, size, item):
    """As JSON of the header, and once more inside the content; whether it is refused or read."""
    values = b"[" + item * (size // len(item)) + b"0]"
    wide = b'"\xf0\x9f\x98\x80' + b"a" * size + b'"'
    for value in (values, wide):
        content = json.dumps('{"a":' + value.decode("utf-8") + "}").encode()
        for text in (
            b'{"a":' + value + b"}",
            b'{"__metadata__":{"format":"simsnn-model","format_version":"1","content":' + content + b"}}",
        ):
            path = tmp_path / "x"
            path.write_bytes(len(text).to_bytes(8, "little") + text)
            peak, error = peak_of(read_file, path)
            assert isinstance(error, ModelFileError)
            assert peak <= path.stat().st_size + 2**20


def test_more_tensors_than_fit_beside_their_numbers_are_refused(tmp_path):
    entry = '"%d":{"dtype":"F64","shape":[400],"data_offsets":[%d,%d]}'
    text = "{" + ",".join(entry % (i, 3200 * i, 3200 * (i + 1)) for i in range(3000)) + "}"
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text.encode() + bytes(3200 * 3000))
    peak, error = peak_of(read_tensors, tmp_path / "x")
    assert "header: beside the arrays it could take more memory" in str(error)
    assert peak <= (tmp_path / "x").stat().st_size + 2**20


def save_npz(path, change=lambda zf: None, method=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, blob in members.items():
            archive.writestr(f"{name}.npy", blob)
        change(archive)


def npy(header, data=b"", version=1):
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + data


PLAIN = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"


def test_npz_of_numpy_are_read(tmp_path):
    a = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", a=a, scalar=np.pi, empty=np.zeros((0, 3)))
        found = read_tensors(tmp_path / "x.npz")
        assert np.array_equal(found["a"], a)
        assert found["scalar"] == np.pi
        assert found["empty"].shape == (0, 3)
    save_npz(tmp_path / "x.npz", a=npy(PLAIN, bytes(16), version=2))
    assert np.array_equal(read_tensors(tmp_path / "x.npz")["a"], np.zeros(2))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (npy(PLAIN, bytes(15)), r"a: the shape \(2,\) does not fit 15 bytes"),
        (npy(PLAIN, bytes(17)), r"a: the shape \(2,\) does not fit 17 bytes"),
        (npy(PLAIN.replace(b"2,", b"1152921504606846976,")), "a: the .* does not fit|header"),
        (npy(PLAIN.replace(b"2,", b"0, 99999999999999999,")), "a: the shape .* does not fit 0 bytes"),
        (npy(PLAIN.replace(b"2,", b"-2,"), bytes(16)), "a: the header of the .npy format is damaged"),
        (npy(PLAIN.replace(b"2,", b"__import__('os'),"), bytes(16)), "a: the header of the .npy format is damaged"),
        (npy(PLAIN.replace(b"<f8", b"|O"), bytes(16)), "a has the type object; float64 is needed"),
        (npy(PLAIN.replace(b"<f8", b"<f4"), bytes(16)), "a has the type float32; float64 is needed"),
        (npy(PLAIN.replace(b"<f8", b">f8"), bytes(16)), "a has the type float64 of the other byte order"),
        (npy(PLAIN.replace(b"<f8", b"<i3"), bytes(16)), "a has the type <i3; float64 is needed"),
        (npy(b"[" * 5000), "a: the header of the .npy format is damaged"),
        (npy(PLAIN, bytes(16), version=9), "a is not an array in the .npy format"),
        (b"", "a is not an array in the .npy format"),
    ],
)
def test_npz_members_that_lie(tmp_path, blob, message):
    save_npz(tmp_path / "x.npz", a=blob)
    with pytest.raises(ModelFileError, match=message):
        read_tensors(tmp_path / "x.npz")


def patched(raw, *edits):
    changed = bytearray(raw)
    for place, value in edits:
        changed[place : place + len(value)] = value
    return bytes(changed)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("encrypted", "damaged, or holds no plain arrays"),
        ("of a version to come", "damaged, or holds no plain arrays"),
        ("of a name that is not UTF-8", "damaged, or holds no plain arrays"),
        ("beyond its end", "damaged, or holds no plain arrays"),
        ("at a place of 64 bits", "damaged, or (holds no plain arrays|cannot be read)"),
        ("behind other bytes", "damaged: bytes are missing, or too many"),
    ],
)
def test_npz_archives_that_zipfile_does_not_read(tmp_path, kind, message):
    path = tmp_path / "x.npz"
    save_npz(path, abcd=npy(PLAIN.replace(b"2,", b"50,"), bytes(400)))
    raw = path.read_bytes()
    central = raw.index(b"PK\x01\x02")
    if kind == "encrypted":
        raw = patched(raw, (6, b"\x01"), (central + 8, b"\x01"))
    elif kind == "of a version to come":
        raw = patched(raw, (central + 6, b"\xff"))
    elif kind == "of a name that is not UTF-8":
        raw = patched(raw, (7, b"\x08"), (central + 9, b"\x08"), (central + 46, b"\xff"))
    elif kind == "beyond its end":
        more = npy(PLAIN.replace(b"2,", b"5000,"))
        raw = patched(raw, (38, more), (central + 20, struct.pack("<LL", *[len(more) + 40_000] * 2)))
    elif kind == "at a place of 64 bits":
        extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)
        entry = patched(raw[central:-22], (30, struct.pack("<H", len(extra))), (42, b"\xff" * 4)) + extra
        raw = raw[:central] + entry + patched(raw[-22:], (12, struct.pack("<L", len(entry))))
    else:
        raw = b"before" + raw
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match=message):
        read_tensors(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_npz_archives_that_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    zeros = npy(PLAIN.replace(b"2,", b"1000000,"), bytes(8_000_000))
    save_npz(path, method=zipfile.ZIP_DEFLATED, a=zeros)
    assert path.stat().st_size < 10_000
    peak, error = peak_of(read_tensors, path)
    assert "compressed too well" in str(error)
    assert "save uncompressed, with numpy.savez" in str(error)
    assert peak < 2**20
    one = npy(PLAIN, bytes(16))
    for change, message in (
        (lambda z: z.writestr("a.npy", one), "a is there twice"),
        (lambda z: z.writestr("readme.txt", "x"), "readme.txt is not an array"),
        (lambda z: z.writestr("b.npy", one, zipfile.ZIP_BZIP2), "b.npy is compressed in another way"),
        (lambda z: [z.writestr(f"{i}.npy", one) for i in range(1000)], "too many arrays"),
        (lambda z: setattr(z, "comment", b"c"), "does not end as an archive"),
    ):
        save_npz(path, change, a=one)
        with pytest.raises(ModelFileError, match=message):
            read_tensors(path)
    save_npz(path, a=one)
    raw = bytearray(path.read_bytes())
    raw[raw.index(one) + len(one) - 1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match="Bad CRC-32"):
        read_tensors(path)


def test_failed_write_keeps_what_was_there(path, monkeypatch):
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="No space left"):
        write_file(path, {}, ARRAYS)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_unwritable_places(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_writable(tmp_path / "no" / "model", "-o")
    with pytest.raises(OutputError, match="is a folder"):
        check_writable(tmp_path, "-o")
    check_writable(tmp_path / "fine", "-o")
    assert list(tmp_path.iterdir()) == []
