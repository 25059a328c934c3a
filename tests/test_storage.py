"""The file format: what is written comes back to the bit, and nothing damaged or foreign gets through."""

import json
import os
import struct

import numpy as np
import pytest

from simsnn_ref.errors import ModelFileError, OutputError
from simsnn_ref.storage import check_writable, read_file, write_file

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


def test_layout_is_that_of_safetensors(path):
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


def test_every_changed_byte_is_found(path, tmp_path):
    raw = bytearray(path.read_bytes())
    damaged = tmp_path / "damaged"
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 0x01
        damaged.write_bytes(changed)
        with pytest.raises(ModelFileError, match="damaged"):
            read_file(damaged)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, -100, -1])
def test_truncated(path, tmp_path, keep):
    cut = tmp_path / "cut"
    cut.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelFileError, match=r"cut: (not a simsnn model|truncated|damaged)"):
        read_file(cut)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x93NUMPY" + bytes(200),
        b"PK\x03\x04" + bytes(200),
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"\xff\xff\xff\xff",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 2**63) + b"{}",
    ],
)
def test_foreign_file(tmp_path, raw):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(raw)
    with pytest.raises(ModelFileError, match="not a simsnn model file"):
        read_file(foreign)


def test_missing_file(tmp_path):
    with pytest.raises(ModelFileError, match="cannot be read: No such file"):
        read_file(tmp_path / "nothing")


def test_unknown_version_says_what_to_do(path, monkeypatch):
    monkeypatch.setattr("simsnn_ref.storage.FORMAT_VERSION", "2")
    with pytest.raises(ModelFileError, match=r"format version '1'.*update simsnn-ref"):
        read_file(path)


def test_offsets_beyond_the_file_are_refused_even_with_a_right_checksum(tmp_path, monkeypatch):
    lying = tmp_path / "lying"
    write_file(lying, {}, {"a": np.zeros(2)})
    raw = lying.read_bytes().replace(b'"shape":[2]', b'"shape":[9]')
    lying.write_bytes(raw)
    monkeypatch.setattr("simsnn_ref.storage._check_digest", lambda *args: None)
    with pytest.raises(ModelFileError, match="does not describe its arrays"):
        read_file(lying)


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
