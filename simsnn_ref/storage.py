"""The one file format: named arrays and a JSON header in the safetensors layout, checksummed, without pickle.

    8 bytes       length n of the header, unsigned little endian
    n bytes       header, UTF-8 JSON: {name: {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {str: str}}
    the rest      the arrays, C order, little endian, without gaps

Any safetensors reader opens it. `__metadata__` holds ``format`` and ``format_version``, the caller's text under
``content`` and ``sha256``: the SHA-256 of the whole file with those 64 digits set to 0.
"""

import contextlib
import hashlib
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import ModelFileError, OutputError

__all__ = ["check_writable", "read_file", "read_tensors", "write_file"]

FORMAT = "simsnn-model"
FORMAT_VERSION = "1"
MAX_HEADER_BYTES = 100_000_000
_DTYPES = {"F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_NO_DIGEST = "0" * 64


def check_writable(path: str | Path, what: str) -> None:
    """Raise OutputError now if `path` could not be written later."""
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{what} {path}: is a folder; name a file")
    if not path.parent.is_dir():
        raise OutputError(f"{what} {path}: folder {path.parent} does not exist; create it first")
    try:
        handle, probe = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        Path(probe).unlink()
    except OSError as error:
        raise OutputError(f"{what} {path}: folder {path.parent} cannot be written: {error.strerror}") from error


def write_file(
    path: str | Path, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray], kind: str = FORMAT
) -> None:
    """Write `arrays` (float64 or int64) and `content` (JSON) to `path`; complete or not at all.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing that was there before is lost.
    """
    path = Path(path)
    names = {dtype: name for name, dtype in _DTYPES.items()}
    blobs, header, offset = [], {}, 0
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        blob = little.tobytes()
        end = offset + len(blob)
        header[name] = {"dtype": names[little.dtype], "shape": list(array.shape), "data_offsets": [offset, end]}
        blobs.append(blob)
        offset = end
    metadata = {
        "format": kind,
        "format_version": FORMAT_VERSION,
        "sha256": _NO_DIGEST,
        "content": json.dumps(content, allow_nan=False),
    }
    text = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    raw = b"".join([len(text).to_bytes(8, "little"), text, *blobs])
    digest = hashlib.sha256(raw).hexdigest().encode()
    start = raw.index(_NO_DIGEST.encode(), 8)
    raw = raw[:start] + digest + raw[start + len(digest) :]
    try:
        _replace(path, raw)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error


def _replace(path: Path, raw: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_file(path: str | Path, kind: str = FORMAT) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_file` wrote: the content and the arrays (native byte order, writable).

    Raises
    ------
    ModelFileError
        If the file cannot be read, is not of this format or version, is truncated, or fails its checksum.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error
    header, start = _read_header(path, raw)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or metadata.get("format") != kind:
        raise ModelFileError(f"{path}: not a simsnn model file")
    if metadata.get("format_version") != FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: format version {metadata.get('format_version')!r}, this program reads {FORMAT_VERSION!r};"
            " update simsnn-ref"
        )
    _check_digest(path, raw, start, metadata.get("sha256"))
    try:
        content = json.loads(metadata["content"])
        arrays = {name: _read_array(raw, start, entry) for name, entry in header.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: the header does not describe its arrays ({error})") from error
    return content, arrays


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of float64 by name from any file in the safetensors layout, or from a .npz archive, without unpickling.

    Raises
    ------
    ModelFileError
        If the file cannot be read or is damaged, or an array is not of float64.
    """
    path = Path(path)
    try:
        if path.suffix == ".npz":
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        else:
            raw = path.read_bytes()
            header, start = _read_header(path, raw)
            header.pop("__metadata__", None)
            for name, entry in header.items():
                if isinstance(entry, dict) and entry.get("dtype") not in _DTYPES:
                    raise ModelFileError(f"{path}: {name} has the type {entry.get('dtype')!r}; float64 (F64) is needed")
            arrays = {name: _read_array(raw, start, entry) for name, entry in header.items()}
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path}: damaged, or holds no plain arrays ({error})") from error
    for name, array in arrays.items():
        if array.dtype != np.float64:
            raise ModelFileError(f"{path}: {name} has the type {array.dtype}; float64 is needed")
    return arrays


def _read_header(path: Path, raw: bytes) -> tuple[dict[str, Any], int]:
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 9 or raw[8:9] != b"{" or length > MAX_HEADER_BYTES:
        raise ModelFileError(f"{path}: not a simsnn model file")
    if 8 + length > len(raw):
        raise ModelFileError(f"{path}: truncated: the header needs {8 + length} bytes, the file has {len(raw)}")
    try:
        header = json.loads(raw[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: not a simsnn model file (the header is not JSON)") from error
    if not isinstance(header, dict):
        raise ModelFileError(f"{path}: not a simsnn model file (the header is not an object)")
    return header, 8 + length


def _check_digest(path: Path, raw: bytes, start: int, stated: object) -> None:
    digits = stated.encode() if isinstance(stated, str) else b""
    at = raw.find(digits, 8, start) if len(digits) == len(_NO_DIGEST) else -1
    blank = raw[:at] + _NO_DIGEST.encode() + raw[at + len(digits) :]
    if at < 0 or hashlib.sha256(blank).hexdigest().encode() != digits:
        raise ModelFileError(f"{path}: damaged: the SHA-256 checksum does not match; fetch or make the file again")


def _read_array(raw: bytes, start: int, entry: dict[str, Any]) -> np.ndarray:
    dtype, shape = _DTYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])
    first, last = (int(offset) for offset in entry["data_offsets"])
    expected = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or not 0 <= first <= last <= len(raw) - start or last - first != expected:
        raise ValueError(f"offsets {first} to {last} for shape {shape}")
    flat = np.frombuffer(raw, dtype=dtype, count=math.prod(shape), offset=start + first)
    return flat.reshape(shape).astype(dtype.newbyteorder("="))
