"""Files: fields with their coordinates and units, read and written, and the one format of models and checkpoints.

Nothing here unpickles, and an error is one line that names the file and the entry.
"""

from simsnn_ref.io.atomic import check_absent, check_writable
from simsnn_ref.io.coordinates import Labelled, SampledField, follows, on_axes, on_grid
from simsnn_ref.io.dataarrays import is_dataarray, read_dataarray, refuse_dataset
from simsnn_ref.io.field_info import FieldInfo
from simsnn_ref.io.gaps import check_scattered, without_gaps
from simsnn_ref.io.periodicity import Periodic, seam_notes
from simsnn_ref.io.provenance import blas_and_simd, blas_threads, git_commit, package_version, provenance, versions
from simsnn_ref.io.reading import read_field, read_scattered
from simsnn_ref.io.samples import (
    GAPS,
    LEAST_SAMPLES,
    check_grid,
    check_range,
    check_samples,
    is_constant,
    load_samples,
    sample_function,
    save_array,
)
from simsnn_ref.io.schema import conform
from simsnn_ref.io.storage import read_file, read_json, read_tensors, write_file
from simsnn_ref.io.strict_json import parse_json, shown
from simsnn_ref.io.tables import TABLE_SUFFIXES
from simsnn_ref.io.writing import check_output, to_dataarray, write_field

__all__ = [
    "GAPS",
    "LEAST_SAMPLES",
    "TABLE_SUFFIXES",
    "FieldInfo",
    "Labelled",
    "Periodic",
    "SampledField",
    "blas_and_simd",
    "blas_threads",
    "check_absent",
    "check_grid",
    "check_output",
    "check_range",
    "check_samples",
    "check_scattered",
    "check_writable",
    "conform",
    "follows",
    "git_commit",
    "is_constant",
    "is_dataarray",
    "load_samples",
    "on_axes",
    "on_grid",
    "package_version",
    "parse_json",
    "provenance",
    "read_dataarray",
    "read_field",
    "read_file",
    "read_json",
    "read_scattered",
    "read_tensors",
    "refuse_dataset",
    "sample_function",
    "save_array",
    "seam_notes",
    "shown",
    "to_dataarray",
    "versions",
    "without_gaps",
    "write_field",
    "write_file",
]
