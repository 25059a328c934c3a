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
    OutputError,
    SimsnnError,
)
from simsnn_ref.grid import Box, Grid
from simsnn_ref.history import Callback, History, StageRecord, Step
from simsnn_ref.model import Model, load_model
from simsnn_ref.multistage import fit, resume
from simsnn_ref.provenance import package_version
from simsnn_ref.scatter import Scatter

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
    "FitConfig",
    "Grid",
    "History",
    "Interrupted",
    "Model",
    "ModelFileError",
    "NumpyBackend",
    "OutputError",
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
    "resume",
]
