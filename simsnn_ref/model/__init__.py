"""The fitted sum of stages: its options, its history, its file and its certificate."""

from simsnn_ref.model.certificate import Certificate, ErrorSample, certify, digits_of_independent_evaluation
from simsnn_ref.model.checkpoint import Checkpoints, digest, is_held, log_file, reading_states, state_files
from simsnn_ref.model.config import OPTIMIZERS, FitConfig, config_from_dict, config_from_toml
from simsnn_ref.model.history import Callback, History, StageRecord, Step
from simsnn_ref.model.model import Model, load_model
from simsnn_ref.model.run_log import ENDS, LogFile, parse_line
from simsnn_ref.model.serialization import (
    Arrays,
    Stage,
    check_snapshot,
    pack_field,
    pack_grid,
    pack_records,
    pack_snapshot,
    pack_stages,
    unpack_field,
    unpack_grid,
    unpack_records,
    unpack_snapshot,
    unpack_stages,
)
from simsnn_ref.model.validation import RECORD, check_state

__all__ = [
    "ENDS",
    "OPTIMIZERS",
    "RECORD",
    "Arrays",
    "Callback",
    "Certificate",
    "Checkpoints",
    "ErrorSample",
    "FitConfig",
    "History",
    "LogFile",
    "Model",
    "Stage",
    "StageRecord",
    "Step",
    "certify",
    "check_snapshot",
    "check_state",
    "config_from_dict",
    "config_from_toml",
    "digest",
    "digits_of_independent_evaluation",
    "is_held",
    "load_model",
    "log_file",
    "pack_field",
    "pack_grid",
    "pack_records",
    "pack_snapshot",
    "pack_stages",
    "parse_line",
    "reading_states",
    "state_files",
    "unpack_field",
    "unpack_grid",
    "unpack_records",
    "unpack_snapshot",
    "unpack_stages",
]
