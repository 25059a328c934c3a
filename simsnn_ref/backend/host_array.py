"""What users have, tensors of other libraries too, as an array of NumPy."""

from typing import Any

import numpy as np

from simsnn_ref.errors import DataError

__all__ = ["host_array"]


def host_array(values: Any, name: str) -> np.ndarray:
    """Anything that looks like an array, as one of NumPy on the host; a masked array stays one.

    Parameters
    ----------
    values : array_like
        A tensor of PyTorch may be on any device and require a gradient.
    name : str
        What it is called in messages.

    Raises
    ------
    DataError
        If it does not become an array.

    Examples
    --------
    >>> host_array([[1.0, 2.0], [3.0]], "u")
    Traceback (most recent call last):
        ...
    simsnn_ref.errors.DataError: u: not a rectangular array of numbers
    """
    if isinstance(values, np.ma.MaskedArray):
        return values
    try:
        # PyTorch converts neither what requires a gradient nor what is on another device.
        if all(hasattr(values, method) for method in ("detach", "cpu")):
            values = values.detach().cpu()
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: not a rectangular array of numbers") from error
    except (MemoryError, DataError):
        raise
    except Exception as error:
        # Each library has its own kinds of errors.
        text = " ".join(str(error).split())
        raise DataError(f"{name}: {type(values).__name__} cannot be made an array of NumPy ({text})") from error
