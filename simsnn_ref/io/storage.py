"""The one file format, of models, checkpoints and reference cases: named arrays and JSON, checksummed, without pickle.

Files are safetensors files (`simsnn_ref.io.safetensors`), which any reader of these opens. The metadata are

    format            the kind, one of `KINDS`
    format_version    `FORMAT_VERSION`
    sha256            SHA-256 of the whole file, with the first occurrence of these 64 digits set to 0
    content           JSON of the caller
    sha256:NAME       SHA-256 of the bytes of the tensor NAME

docs/format.md has it all.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import ModelFileError, OutputError
from simsnn_ref.io.atomic import write_whole
from simsnn_ref.io.npz import read_npz
from simsnn_ref.io.safetensors import (
    DTYPES,
    METADATA,
    Header,
    bytes_of,
    fits,
    fits_beside,
    open_regular,
    read_array,
    read_header,
)
from simsnn_ref.io.schema import conform
from simsnn_ref.io.strict_json import parse_json, shown

__all__ = ["FORMAT_VERSION", "KINDS", "read_file", "read_json", "read_tensors", "write_file"]

KINDS = {
    "simsnn-model": "a model: load_model and simsnn predict, info and certify read it",
    "simsnn-checkpoint": "the checkpoint of a fit: simsnn resume reads its folder",
    "simsnn-reference": "a reference case: simsnn reference check reads its folder",
}
"""The kinds of file by the name in their metadata, and what reads them."""

FORMAT_VERSION = "1"
"""To be raised when a reader of the version before would take a file for something else than it is."""

_LONGEST_JSON = 2**26
_NO_DIGEST = "0" * 64
_TENSOR_DIGEST = "sha256:"


def write_file(
    path: str | Path, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray], kind: str = "simsnn-model"
) -> None:
    """Write arrays and JSON to a file, whole or not at all.

    Parameters
    ----------
    path : str or Path
    content : mapping
        JSON: its numbers are finite and fit in 64 bits.
    arrays : mapping of str to ndarray
        Arrays of float64, int64 or uint8, by name.
    kind : str
        One of `KINDS`.

    Raises
    ------
    OutputError
        If the file cannot be written, and then what was there before is kept; if an array is of another type, or the
        content not JSON or too large to be read again within the bound of `read_file`.
    """
    path = Path(path)
    blobs = {name: _file_bytes(array, f"{path}: {name}") for name, array in arrays.items()}
    # Eight-byte numbers first, so that they are aligned in the file.
    in_file_order = sorted(blobs, key=lambda name: -arrays[name].dtype.itemsize)
    header = _header(path, content, arrays, blobs, in_file_order, kind)
    whole = hashlib.sha256(header)
    for name in in_file_order:
        whole.update(blobs[name])
    header = header.replace(_NO_DIGEST.encode(), whole.hexdigest().encode(), 1)
    write_whole(path, lambda new: _write_parts(new, [header, *(blobs[name] for name in in_file_order)]))


def _write_parts(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with path.open("wb") as stream:
        stream.writelines(parts)


def _file_bytes(array: np.ndarray, where: str) -> memoryview:
    """The bytes of an array in the file, without a copy where that is possible."""
    little = array.dtype.newbyteorder("<")
    if little not in DTYPES.values():
        raise OutputError(f"{where}: arrays of {array.dtype} cannot be kept; make it float64, int64 or uint8")
    return bytes_of(np.ascontiguousarray(array, dtype=little))


def _header(
    path: Path,
    content: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    blobs: Mapping[str, memoryview],
    in_file_order: Iterable[str],
    kind: str,
) -> bytes:
    """The header with its length before it, and zeros for the digest of the whole file."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    offsets, data = {}, 0
    for name in in_file_order:
        offsets[name] = [data, data + len(blobs[name])]
        data += len(blobs[name])
    try:
        text = json.dumps(content, allow_nan=False)
        parse_json(text, "content")
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"{path}: the content is not JSON ({error})") from error
    metadata = {"format": kind, "format_version": FORMAT_VERSION, "sha256": _NO_DIGEST, "content": text}
    metadata |= {f"{_TENSOR_DIGEST}{name}": hashlib.sha256(blob).hexdigest() for name, blob in blobs.items()}
    entries = {
        name: {
            "dtype": names[array.dtype.newbyteorder("<")],
            "shape": list(array.shape),
            "data_offsets": offsets[name],
        }
        for name, array in arrays.items()
    }
    raw = json.dumps({METADATA: metadata, **entries}, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    if not (fits(raw, data) and fits_beside(metadata, {name: array.shape for name, array in arrays.items()})):
        raise OutputError(
            f"{path}: {len(arrays)} tensors and {len(text)} bytes of content need a header of {len(raw)} bytes, more"
            " than can be read within the size of the file and a MiB; keep more in fewer, larger tensors"
        )
    return len(raw).to_bytes(8, "little") + raw


def read_file(path: str | Path, kind: str = "simsnn-model") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_file` wrote.

    It takes no more memory than the file has bytes, and a MiB.

    Returns
    -------
    content : dict
        JSON.
    arrays : dict of ndarray
        Arrays by name, of native byte order and writable.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is of another kind, format or version, is truncated, or fails a checksum; the
        message names the tensor, or says that it is the header.
    """
    path = Path(path)
    with open_regular(path) as stream:
        header = read_header(stream, path)
        _check_kind(path, header, kind)
        content = _read_content(path, header)
        digests = _tensor_digests(path, header)
        stated = header.metadata.get("sha256", "")
        at = header.raw.find(stated.encode("utf-8", "replace")) if len(stated) == len(_NO_DIGEST) else -1
        if at < 0:
            raise ModelFileError(f"{path}: header: the SHA-256 of the file is missing")
        header.raw[at : at + len(_NO_DIGEST)] = _NO_DIGEST.encode()
        whole = hashlib.sha256(header.prefix)
        whole.update(header.raw)
        arrays, damaged = {}, []
        for tensor in header.in_file_order():
            array = read_array(stream, header, tensor, path)
            blob = bytes_of(array)
            whole.update(blob)
            if digests and hashlib.sha256(blob).hexdigest() != digests[tensor.name]:
                damaged.append(shown(tensor.name))
            arrays[tensor.name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    if damaged or whole.hexdigest() != stated:
        culprit = f"tensor {', '.join(damaged)}" if damaged else "the header" if digests else "some byte"
        raise ModelFileError(
            f"{path}: damaged: the SHA-256 checksum does not match: {culprit} has changed; fetch or make the file again"
        )
    return content, {tensor.name: arrays[tensor.name] for tensor in header.tensors}


def _check_kind(path: Path, header: Header, kind: str) -> None:
    found, version = header.metadata.get("format", ""), header.metadata.get("format_version", "")
    if found not in KINDS:
        raise ModelFileError(f"{path}: not a {kind} file: the format in its metadata is {shown(found)}")
    if version != FORMAT_VERSION:
        raise ModelFileError(
            f"{path}: format version {shown(version)}, this program reads {FORMAT_VERSION}; update simsnn-ref"
        )
    if found != kind:
        raise ModelFileError(f"{path}: not a {kind} file but {KINDS[found]}")


def _read_content(path: Path, header: Header) -> dict[str, Any]:
    where = f"{path}: content"
    content: dict[str, Any] = parse_json(header.metadata.get("content", ""), where)
    conform(content, {str: object}, where)
    return content


def _tensor_digests(path: Path, header: Header) -> dict[str, str]:
    """SHA-256 of each tensor by name; of none in files from before there were any."""
    digests = {
        key.removeprefix(_TENSOR_DIGEST): value
        for key, value in header.metadata.items()
        if key.startswith(_TENSOR_DIGEST)
    }
    names = {tensor.name for tensor in header.tensors}
    if not digests:
        return {}
    for name in digests:
        if name not in names:
            raise ModelFileError(f"{path}: header: tensor {shown(name)} is missing: there is a SHA-256 of it")
    for name in names:
        if name not in digests:
            raise ModelFileError(f"{path}: header: there is no SHA-256 of tensor {shown(name)}")
    return digests


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Read arrays of float64 by name from any safetensors file, or from a .npz archive, without unpickling.

    It takes no more memory than the file has bytes, and a MiB. Metadata are not looked at.

    Raises
    ------
    ModelFileError
        If the file cannot be read or is damaged, or an array is not of float64.
    """
    path = Path(path)
    with open_regular(path) as stream:
        if path.suffix == ".npz":
            return read_npz(stream, path, only_tensors=True)
        header = read_header(stream, path, dtypes=("F64",))
        return {
            tensor.name: read_array(stream, header, tensor, path).astype(np.float64, copy=False)
            for tensor in header.tensors
        }


def read_json(path: str | Path) -> Any:
    """Read the value in a JSON file, which is at most `_LONGEST_JSON` bytes long.

    Raises
    ------
    ModelFileError
        If the file cannot be read, is too long, or is not JSON as `simsnn_ref.io.strict_json` wants it.
    """
    path = Path(path)
    with open_regular(path) as stream:
        try:
            raw = stream.read(_LONGEST_JSON + 1)
        except OSError as error:
            raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(raw) > _LONGEST_JSON:
        raise ModelFileError(f"{path}: longer than the {_LONGEST_JSON} bytes that are read of JSON")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path}: not JSON in UTF-8 ({error.reason} at byte {error.start})") from None
    return parse_json(text, str(path))
