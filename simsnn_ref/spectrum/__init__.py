"""Where the samples are, and their Fourier modes.

Grids and scattered points, Algorithm 1 (`fourier_modes`), the power spectrum of eq. 13, trigonometric interpolation,
Fourier extension for what is not periodic, which axes repeat, noise, and the error to expect between samples.
"""

from simsnn_ref.spectrum.energy import EnergySpectrum, energy_spectrum
from simsnn_ref.spectrum.expected_error import expected_error, unit_of_rounding
from simsnn_ref.spectrum.fourier_extension import count_extension_modes, extension_modes, extension_period
from simsnn_ref.spectrum.grid import PI, Box, Grid, Period, wavenumber_units
from simsnn_ref.spectrum.grid_interpolant import GridInterpolant
from simsnn_ref.spectrum.interpolation import shift_samples
from simsnn_ref.spectrum.least_squares import ScatteredModes, count_scattered_modes
from simsnn_ref.spectrum.line_interpolation import lines_along
from simsnn_ref.spectrum.mirrored_modes import count_mirrored_modes, mirrored_modes
from simsnn_ref.spectrum.modes import Modes, count_modes, dominant_frequency, dominant_of, fourier_modes, require_modes
from simsnn_ref.spectrum.noise import Signal, signal_in_noise
from simsnn_ref.spectrum.repetition import Repetition, repetition_along
from simsnn_ref.spectrum.scattered_points import Scatter

__all__ = [
    "PI",
    "Box",
    "EnergySpectrum",
    "Grid",
    "GridInterpolant",
    "Modes",
    "Period",
    "Repetition",
    "Scatter",
    "ScatteredModes",
    "Signal",
    "count_extension_modes",
    "count_mirrored_modes",
    "count_modes",
    "count_scattered_modes",
    "dominant_frequency",
    "dominant_of",
    "energy_spectrum",
    "expected_error",
    "extension_modes",
    "extension_period",
    "fourier_modes",
    "lines_along",
    "mirrored_modes",
    "repetition_along",
    "require_modes",
    "shift_samples",
    "signal_in_noise",
    "unit_of_rounding",
    "wavenumber_units",
]
