"""Arrays from NumPy's .npz archives, which are never unpickled.

An archive of tensors, whose origin is unknown, is held to the same bound as a file of this package, its own size and a
MiB: nothing it says is believed or evaluated. Arrays that are not compressed always fit. Compressed ones do if they
would be no larger than that uncompressed, which random numbers are and long runs of zeros are not.
"""

import math
import os
import re
import struct
import zipfile
import zlib
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from simsnn_ref.errors import DataError, ModelFileError
from simsnn_ref.io.safetensors import SLACK, allocate, bytes_of
from simsnn_ref.io.samples import read_npy
from simsnn_ref.io.strict_json import shown

__all__ = ["read_npz"]

_END = struct.Struct("<4s4H2LH")
_END_64_BYTES = 20
_MOST_DIRECTORY_BYTES = 2**15
_OVERHEAD = 2**17
"""What zlib and Python itself take of `SLACK`."""

_OVERHEAD_PER_ARRAY = 2**10
_CHUNK = 2**16

_LONGEST_HEADER = 2**12
_HEADER = re.compile(
    rb"\{ *'descr': *'(?P<descr>[^']{1,40})', *'fortran_order': *(?P<fortran>True|False),"
    rb" *'shape': *\((?P<shape>(?:\d{1,18}, ?)*(?:\d{1,18})?)\),? *\}\s*"
)
_MOST_DIMENSIONS = 32

_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OverflowError, RuntimeError, ValueError)
"""What `zipfile` raises where an archive is damaged, and (RuntimeError) where it is encrypted or exotic."""


def read_npz(stream: FileIO, path: Path, *, only_tensors: bool = False) -> dict[str, np.ndarray]:
    """All arrays of an open archive, by name.

    Parameters
    ----------
    only_tensors : bool
        Whether all have to be of float64, and to fit into the size of the file and a MiB of memory.

    Raises
    ------
    ModelFileError
        If the archive is damaged, or an array is there twice, or is no tensor where only tensors are taken; the message
        names the array.
    DataError
        If an array is damaged or holds Python objects.
    """
    size = os.fstat(stream.fileno()).st_size
    read = _read_tensor if only_tensors else _read_array
    try:
        if only_tensors:
            _check_directory(stream, size, path)
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            _check_members(members, path)
            if only_tensors:
                _check_size(members, size, path)
            return {info.filename[: -len(".npy")]: read(archive, info, path) for info in members}
    except (ModelFileError, DataError):
        raise
    except OSError as error:
        raise ModelFileError(f"{path}: damaged, or cannot be read: {error.strerror or error}") from error
    except _ZIP_FAULTS as error:
        raise ModelFileError(f"{path}: damaged, or holds no plain arrays ({shown(error)})") from error


def _check_directory(stream: FileIO, size: int, path: Path) -> None:
    """Raise ModelFileError if the directory is long: `zipfile` makes an object of each of its entries."""
    tail_size = min(size, _END.size + _END_64_BYTES)
    stream.seek(size - tail_size)
    tail = stream.read(tail_size)
    end = tail[-_END.size :]
    if len(end) < _END.size or end[:4] != b"PK\x05\x06" or end[-2:] != b"\0\0":
        raise ModelFileError(
            f"{path}: damaged, or holds no plain arrays (it does not end as an archive of numpy.savez)"
        )
    _, _, _, _, _, directory, offset, _ = _END.unpack(end)
    if directory > _MOST_DIRECTORY_BYTES or tail[: -_END.size][:4] == b"PK\x06\x07":
        raise ModelFileError(f"{path}: too many arrays, or more than 4 GiB; save them as safetensors")
    if offset + directory + _END.size != size:
        raise ModelFileError(f"{path}: damaged: bytes are missing, or too many")
    stream.seek(0)


def _check_members(members: list[zipfile.ZipInfo], path: Path) -> None:
    names = [info.filename for info in members]
    for info in members:
        name = shown(info.filename)
        if not info.filename.endswith(".npy"):
            raise ModelFileError(f"{path}: {name} is not an array")
        if names.count(info.filename) > 1:
            raise ModelFileError(f"{path}: {shown(info.filename[:-4])} is there twice")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelFileError(f"{path}: {name} is compressed in another way than by numpy; save with numpy.savez")


def _check_size(members: list[zipfile.ZipInfo], size: int, path: Path) -> None:
    total = sum(info.file_size for info in members)
    if total > size + SLACK - _OVERHEAD - _OVERHEAD_PER_ARRAY * len(members):
        raise ModelFileError(
            f"{path}: the arrays take {total} bytes, the archive {size}: compressed too well to be read within the"
            " size of the file and a MiB; save uncompressed, with numpy.savez"
        )


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    with archive.open(info) as member:
        return read_npy(member, f"{path}: {shown(info.filename[:-4])}")


def _read_tensor(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> np.ndarray:
    where = f"{path}: {shown(info.filename[:-4])}"
    with archive.open(info) as member:
        prefix = member.read(8)
        if prefix[:6] != b"\x93NUMPY" or prefix[6:7] not in b"\1\2\3" or len(prefix) < 8:
            raise ModelFileError(f"{where} is not an array in the .npy format")
        length_bytes = 2 if prefix[6] == 1 else 4
        length = int.from_bytes(member.read(length_bytes), "little")
        header = _HEADER.fullmatch(member.read(min(length, _LONGEST_HEADER)))
        if header is None:
            raise ModelFileError(f"{where}: the header of the .npy format is damaged, or of no plain array")
        shape = tuple(int(digits) for digits in header["shape"].split(b",") if digits.strip())
        _check_type(header["descr"].decode("latin-1"), where)
        data = info.file_size - len(prefix) - length_bytes - length
        if len(shape) > _MOST_DIMENSIONS or max(shape, default=0) > SLACK + data or 8 * math.prod(shape) != data:
            raise ModelFileError(f"{where}: the shape {shape} does not fit {data} bytes")
        flat = allocate((data // 8,), np.dtype("<f8"), where)
        _fill(member, flat, where)
    if header["fortran"] == b"True":
        return flat.reshape(shape[::-1]).T
    return flat.reshape(shape)


def _check_type(descr: str, where: str) -> None:
    if descr == "<f8":
        return
    try:
        name = np.dtype(descr).name if len(descr) <= 3 else shown(descr)
    except TypeError:
        name = shown(descr)
    order = "of the other byte order " if descr == ">f8" else ""
    raise ModelFileError(f"{where} has the type {name} {order}; float64 is needed".replace(" ;", ";"))


def _fill(member: Any, flat: np.ndarray, where: str) -> None:
    """Fill an array in chunks, since `zipfile` makes a copy of each; with the last one it checks the CRC-32."""
    view, done = bytes_of(flat), 0
    while done < len(view):
        chunk = member.read(min(_CHUNK, len(view) - done))
        if not chunk:
            raise ModelFileError(f"{where}: truncated")
        view[done : done + len(chunk)] = chunk
        done += len(chunk)
