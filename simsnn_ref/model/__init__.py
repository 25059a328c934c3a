"""The fitted sum of stages: its options, its history, its file and its certificate."""

from simsnn_ref.model.certificate import (
    LONG_DOUBLE_DIGITS,
    Certificate,
    ErrorSample,
    certify,
    digits_of_independent_evaluation,
)
from simsnn_ref.model.checkpoint import Checkpoints, digest, is_held, log_file, reading_states, state_files
from simsnn_ref.model.config import (
    OPTIONS,
    FitConfig,
    config_from_dict,
    config_from_file,
    config_from_toml,
    zero_to_none,
)
from simsnn_ref.model.evaluation_points import OUTSIDE, check_outside
from simsnn_ref.model.history import Callback, History, StageRecord, Step
from simsnn_ref.model.model import PRECISIONS, Model, load_model
from simsnn_ref.model.option_groups import (
    METHODS,
    OPTIMIZERS,
    FirstLayerOptions,
    NetworkOptions,
    RunOptions,
    SamplingOptions,
    StageOptions,
    TrainingOptions,
)
from simsnn_ref.model.options import Option, shown
from simsnn_ref.model.paper_settings import PaperSettings, compare_with_paper
from simsnn_ref.model.run_log import ENDS, LogFile, parse_line
from simsnn_ref.model.samples_grid import has_rms, is_samples_grid, samples_grid, with_bounds_of
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
    "LONG_DOUBLE_DIGITS",
    "METHODS",
    "OPTIMIZERS",
    "OPTIONS",
    "OUTSIDE",
    "PRECISIONS",
    "RECORD",
    "Arrays",
    "Callback",
    "Certificate",
    "Checkpoints",
    "ErrorSample",
    "FirstLayerOptions",
    "FitConfig",
    "History",
    "LogFile",
    "Model",
    "NetworkOptions",
    "Option",
    "PaperSettings",
    "RunOptions",
    "SamplingOptions",
    "Stage",
    "StageOptions",
    "StageRecord",
    "Step",
    "TrainingOptions",
    "certify",
    "check_outside",
    "check_snapshot",
    "check_state",
    "compare_with_paper",
    "config_from_dict",
    "config_from_file",
    "config_from_toml",
    "digest",
    "digits_of_independent_evaluation",
    "has_rms",
    "is_held",
    "is_samples_grid",
    "load_model",
    "log_file",
    "pack_field",
    "pack_grid",
    "pack_records",
    "pack_snapshot",
    "pack_stages",
    "parse_line",
    "reading_states",
    "samples_grid",
    "shown",
    "state_files",
    "unpack_field",
    "unpack_grid",
    "unpack_records",
    "unpack_snapshot",
    "unpack_stages",
    "with_bounds_of",
    "zero_to_none",
]
