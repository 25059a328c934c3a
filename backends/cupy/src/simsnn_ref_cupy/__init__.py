"""The backend ``cupy`` of `simsnn_ref`: CuPy arrays on an NVIDIA GPU."""

from simsnn_ref_cupy.backend import CupyBackend

__all__ = ["CupyBackend"]
