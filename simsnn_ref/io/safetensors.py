"""The safetensors format, read from files that may be damaged or hostile: all is checked before it is allocated.

    8 bytes       length n of the header, unsigned little endian
    n bytes       header, UTF-8 JSON: {name: {"dtype", "shape", "data_offsets"}, ..., "__metadata__": {str: str}}
    the rest      the arrays, C order, little endian, without gaps

What is read takes no more memory than the file has bytes, and `SLACK`: the arrays are read straight into place, and a
header is only parsed if what its text can become fits.
"""

import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from sys import getsizeof
from typing import Any

import numpy as np

from simsnn_ref.errors import ModelFileError
from simsnn_ref.io.schema import conform
from simsnn_ref.io.strict_json import parse_json, parsed_bytes, shown

__all__ = [
    "DTYPES",
    "METADATA",
    "SLACK",
    "Header",
    "Tensor",
    "allocate",
    "bytes_of",
    "fits",
    "fits_beside",
    "open_regular",
    "read_array",
    "read_header",
]

DTYPES: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}

METADATA = "__metadata__"

_ENTRY = {"dtype": str, "shape": [int], "data_offsets": [int]}

SLACK = 2**20
"""Bytes of memory that reading may take beyond the size of the file."""

_OVERHEAD = 2**16
"""What Python itself takes of `SLACK`: the stream, checksums, error messages."""

_KEPT_PER_TENSOR, _KEPT_PER_AXIS, _KEPT_PER_STRING = 640, 64, 104
"""Bytes of memory of a `Tensor` with its ndarray and their places in containers, of an axis, of an entry of a dict."""

_MOST_DIMENSIONS = 32
_LARGEST_ARRAY = 2**62


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a header.

    Attributes
    ----------
    name, dtype : str
    shape : tuple of int
    first, last : int
        The place of its bytes, from the first to before the last, counted from the end of the header.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Header:
    """A header that describes its file: the tensors cover the bytes after it once.

    Attributes
    ----------
    raw : bytearray
        JSON as the file has it.
    metadata : dict of str to str
    tensors : tuple of Tensor
        The tensors in the order of the header.
    """

    raw: bytearray
    metadata: dict[str, str]
    tensors: tuple[Tensor, ...]

    @property
    def prefix(self) -> bytes:
        """The eight bytes before the JSON: its length."""
        return len(self.raw).to_bytes(8, "little")

    def in_file_order(self) -> list[Tensor]:
        """The tensors in the order of their bytes."""
        return sorted(self.tensors, key=lambda tensor: (tensor.first, tensor.last))


def fits(raw: bytes | bytearray, data: int) -> bool:
    """Whether a header can be parsed before its `data` bytes of arrays are read, within the bound."""
    return parsed_bytes(raw) <= data + SLACK - _OVERHEAD


def fits_beside(metadata: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether what is kept of a header, and what JSON in its metadata becomes, fit beside the arrays in the bound."""
    kept = sum(_KEPT_PER_TENSOR + _KEPT_PER_AXIS * len(shape) + getsizeof(name) for name, shape in shapes.items())
    kept += sum(_KEPT_PER_STRING + getsizeof(key) + getsizeof(value) for key, value in metadata.items())
    return (
        kept + sum(parsed_bytes(value.encode("utf-8", "replace")) for value in metadata.values()) <= SLACK - _OVERHEAD
    )


def open_regular(path: Path) -> FileIO:
    """Open a regular file for reading; a pipe or a device would make the reader wait.

    Raises
    ------
    ModelFileError
        If it cannot be opened or is no regular file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelFileError(f"{path}: not a regular file")
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        stream = FileIO(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise ModelFileError(f"{path}: not a regular file")
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{shown(path)}: no name of a file ({error})") from error
    return stream


def read_header(stream: FileIO, path: Path, dtypes: Sequence[str] = tuple(DTYPES)) -> Header:
    """Read the header of an open file and check it against the size of the file.

    Parameters
    ----------
    stream : FileIO
    path : Path
        Name of the file, for messages.
    dtypes : sequence of str
        The types that tensors may have, as `DTYPES` names them.

    Raises
    ------
    ModelFileError
        If it does not describe the file; the message names the tensor.
    """
    size = os.fstat(stream.fileno()).st_size
    prefix = bytearray(9)
    if _fill(stream, memoryview(prefix), path) < len(prefix) or prefix[8:] != b"{":
        raise ModelFileError(f"{path}: not a simsnn file: it does not begin as the safetensors format does")
    length = int.from_bytes(prefix[:8], "little")
    data = size - 8 - length
    if data < 0:
        raise ModelFileError(f"{path}: truncated, or not a simsnn file: the header alone would take {length} bytes")
    raw = bytearray(length)
    stream.seek(8)
    if _fill(stream, memoryview(raw), path) < len(raw):
        raise ModelFileError(f"{path}: truncated while it was read")
    return _parse_header(raw, data, path, dtypes)


def _parse_header(raw: bytearray, data: int, path: Path, dtypes: Sequence[str]) -> Header:
    where = f"{path}: header"
    header = _parse_text(raw, data, where)
    metadata = header.pop(METADATA, {})
    conform(metadata, {str: str}, f"{where}: {METADATA}")
    tensors = tuple(_parse_entry(name, entry, where, dtypes) for name, entry in header.items())
    found = Header(raw, metadata, tensors)
    if not fits_beside(metadata, {tensor.name: tensor.shape for tensor in tensors}):
        raise ModelFileError(f"{where}: beside the arrays it could take more memory than the file's size and a MiB")
    end = 0
    for tensor in found.in_file_order():
        if tensor.first != end:
            fault = "overlaps" if tensor.first < end else "leaves a gap after"
            raise ModelFileError(
                f"{where}: {shown(tensor.name)} {fault} the tensor before: byte {tensor.first}, not {end}"
            )
        end = tensor.last
    if end > data:
        names = [shown(tensor.name) for tensor in found.tensors if tensor.last > data]
        raise ModelFileError(f"{path}: truncated: {', '.join(names[:5])} not complete, {end - data} bytes are missing")
    if end < data:
        raise ModelFileError(f"{path}: {data - end} bytes too many at the end")
    return found


def _parse_text(raw: bytearray, data: int, where: str) -> dict[str, Any]:
    if not fits(raw, data):
        raise ModelFileError(f"{where}: to parse it could take more memory than the file's size and a MiB")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{where}: not UTF-8 ({error.reason} at byte {error.start})") from None
    header: dict[str, Any] = parse_json(text, where)
    conform(header, {str: object}, where)
    return header


def _parse_entry(name: str, entry: Any, where: str, dtypes: Sequence[str]) -> Tensor:
    where = f"{where}: {shown(name)}"
    conform(entry, _ENTRY, where)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in dtypes:
        raise ModelFileError(f"{where} has the type {shown(dtype)}; {' or '.join(dtypes)} is needed")
    if len(shape) > _MOST_DIMENSIONS or min(shape, default=0) < 0:
        raise ModelFileError(f"{where}: the shape is not a list of up to {_MOST_DIMENSIONS} sizes")
    if len(offsets) != 2 or min(offsets) < 0:
        raise ModelFileError(f"{where}: the data_offsets are not two places")
    itemsize = DTYPES[dtype].itemsize
    if math.prod(n for n in shape if n) * itemsize > _LARGEST_ARRAY:
        raise ModelFileError(f"{where}: the shape {shape} is larger than any array")
    if offsets[1] - offsets[0] != math.prod(shape) * itemsize:
        raise ModelFileError(f"{where}: the shape {shape} of {dtype} does not fit bytes {offsets[0]} to {offsets[1]}")
    return Tensor(name, dtype, tuple(shape), *offsets)


def bytes_of(array: np.ndarray) -> memoryview:
    """The bytes of an array that is in C order, without a copy."""
    return array.reshape(-1).view(np.uint8).data


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> np.ndarray:
    """An array to read into; `where` names it in messages.

    Raises
    ------
    ModelFileError
        If there is not as much memory.
    """
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        raise ModelFileError(
            f"{where}: {math.prod(shape) * dtype.itemsize} bytes are more memory than is free"
        ) from None


def read_array(stream: FileIO, header: Header, tensor: Tensor, path: Path) -> np.ndarray:
    """Read one tensor as the file has it: C order, little endian.

    Raises
    ------
    ModelFileError
        If the file ends before it does, or memory does.
    """
    array = allocate(tensor.shape, DTYPES[tensor.dtype], f"{path}: {shown(tensor.name)}")
    stream.seek(8 + len(header.raw) + tensor.first)
    if _fill(stream, bytes_of(array), path) < array.nbytes:
        raise ModelFileError(f"{path}: truncated while it was read: {shown(tensor.name)} is not complete")
    return array


def _fill(stream: FileIO, view: memoryview, path: Path) -> int:
    """Read until `view` is full or the file ends, since one system call returns 2 GiB at most; the number of bytes."""
    done = 0
    try:
        while done < len(view):
            count = stream.readinto(view[done:])
            if not count:
                break
            done += count
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    return done
