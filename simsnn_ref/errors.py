"""Typed errors and warnings. Each message is one line that names the culprit and says what to do."""

from typing import Any

__all__ = [
    "BackendError",
    "CertificationError",
    "CheckpointError",
    "ConfigError",
    "DataError",
    "DivergenceError",
    "Interrupted",
    "ModelFileError",
    "NotFittedError",
    "OutputError",
    "OutsideBoxWarning",
    "SimsnnError",
    "VerificationError",
]


class SimsnnError(Exception):
    """Base class of every error this package raises on purpose."""


class DataError(SimsnnError, ValueError):
    """Input data that cannot be fitted or evaluated: wrong shape, dtype or value."""


class CertificationError(SimsnnError, ArithmeticError):
    """Two routes to the same error that do not agree."""


class DivergenceError(SimsnnError, ArithmeticError):
    """A number in training that is not finite.

    Attributes
    ----------
    result : object
        What was reached before: of a minimisation its `Result`, of a fit the `Model` with the last good parameters.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class Interrupted(SimsnnError):
    """A fit that was told by a signal to stop, and did after saving a checkpoint.

    Attributes
    ----------
    signal : int
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal


class VerificationError(SimsnnError, ValueError):
    """Tensors that cannot be compared: missing, one too many, or of another shape."""


class ConfigError(SimsnnError, ValueError):
    """An option that is unknown, out of range or at odds with another one."""


class BackendError(SimsnnError, ImportError):
    """A plug-in backend that is not installed or does not load."""


class ModelFileError(SimsnnError, ValueError):
    """A model file that is damaged, foreign or of an unknown version."""


class NotFittedError(SimsnnError, ValueError, AttributeError):
    """An estimator asked for predictions before it was fitted."""


class CheckpointError(SimsnnError, OSError):
    """A folder of checkpoints that cannot be used."""


class OutputError(SimsnnError, OSError):
    """A file that cannot be written."""


class OutsideBoxWarning(UserWarning):
    """Predictions outside the box of an axis that does not repeat."""
