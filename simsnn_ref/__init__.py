"""simsnn_ref: reference implementation of the Spectrum-Informed Multistage Neural Network (SI-MSNN)."""

from simsnn_ref.backend import Backend, NumpyBackend, available_backends, load_backend
from simsnn_ref.checkpoint import Checkpoints
from simsnn_ref.config import FitConfig, config_from_toml
from simsnn_ref.errors import (
    BackendError,
    CheckpointError,
    ConfigError,
    DataError,
    DivergenceError,
    Interrupted,
    ModelFileError,
    NotFittedError,
    OutputError,
    SimsnnError,
)
from simsnn_ref.estimator import SIMSNNRegressor
from simsnn_ref.field import FieldInfo
from simsnn_ref.grid import Box, Grid
from simsnn_ref.history import Callback, History, StageRecord, Step
from simsnn_ref.labels import SampledField
from simsnn_ref.model import Model, load_model
from simsnn_ref.multistage import fit, resume
from simsnn_ref.provenance import package_version
from simsnn_ref.reading import read_field, read_scattered
from simsnn_ref.scatter import Scatter
from simsnn_ref.writing import to_dataarray, write_field

__all__ = [
    "Backend",
    "BackendError",
    "Box",
    "Callback",
    "CheckpointError",
    "Checkpoints",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "FieldInfo",
    "FitConfig",
    "Grid",
    "History",
    "Interrupted",
    "Model",
    "ModelFileError",
    "NotFittedError",
    "NumpyBackend",
    "OutputError",
    "SIMSNNRegressor",
    "SampledField",
    "Scatter",
    "SimsnnError",
    "StageRecord",
    "Step",
    "available_backends",
    "config_from_toml",
    "fit",
    "load_backend",
    "load_model",
    "package_version",
    "read_field",
    "read_scattered",
    "resume",
    "to_dataarray",
    "write_field",
]
