"""Coverage-guided fuzzing of the readers, beside `test_fuzz.py`: an error that is not typed stops it.

pip install atheris
python tests/io/fuzz_atheris.py -max_total_time=300 -max_len=12000 -len_control=0
"""

import contextlib
import hashlib
import io
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["simsnn_ref", "zipfile"]):
    import numpy as np

    from simsnn_ref import fit, load_model
    from simsnn_ref.errors import SimsnnError
    from simsnn_ref.io import read_tensors, write_file
    from simsnn_ref.spectrum import Grid

READERS = (("x", load_model), ("x", read_tensors), ("x.npz", read_tensors))
NO_DIGEST = b"0" * 64


def seeds(folder):
    """One file for each reader, which the first byte chooses; the model's own checksum is left to `one_input`."""
    path = folder / "seed"
    fit(lambda points: np.full(len(points), 3.0), Grid(4)).save(path)
    raw = path.read_bytes()
    stated = raw.index(b'"sha256":"') + len(b'"sha256":"')
    yield b"\0" + raw[:stated] + NO_DIGEST + raw[stated + 64 :]
    write_file(path, {}, {"a": np.arange(3.0)})
    yield b"\1" + path.read_bytes()
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, a=np.arange(3.0), b=np.zeros((2, 2)))
        yield b"\2" + buffer.getvalue()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "corpus").mkdir()
        for number, raw in enumerate(seeds(folder)):
            (folder / "corpus" / str(number)).write_bytes(raw)

        def one_input(raw):
            file, read = READERS[raw[0] % 3 if raw else 0]
            raw = raw[1:].replace(NO_DIGEST, hashlib.sha256(raw[1:]).hexdigest().encode(), 1)
            (folder / file).write_bytes(raw)
            with contextlib.suppress(SimsnnError):
                read(folder / file)

        atheris.Setup([*sys.argv, str(folder / "corpus")], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
