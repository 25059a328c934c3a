"""Where the samples are, and their Fourier modes.

Grids and scattered points, Algorithm 1 (`fourier_modes`), the power spectrum of eq. 13, trigonometric interpolation,
Fourier extension for what is not periodic, and the noise floor of the samples.
"""

from simsnn_ref.spectrum.energy import EnergySpectrum, energy_spectrum
from simsnn_ref.spectrum.fourier_extension import count_extension_modes, extension_modes, extension_period
from simsnn_ref.spectrum.grid import PI, Box, Grid, Period
from simsnn_ref.spectrum.interpolation import shift_samples
from simsnn_ref.spectrum.least_squares import ScatteredModes, count_scattered_modes
from simsnn_ref.spectrum.modes import Modes, count_modes, dominant_frequency, dominant_of, fourier_modes, require_modes
from simsnn_ref.spectrum.noise_floor import noise_floor
from simsnn_ref.spectrum.scattered_points import Scatter

__all__ = [
    "PI",
    "Box",
    "EnergySpectrum",
    "Grid",
    "Modes",
    "Period",
    "Scatter",
    "ScatteredModes",
    "count_extension_modes",
    "count_modes",
    "count_scattered_modes",
    "dominant_frequency",
    "dominant_of",
    "energy_spectrum",
    "extension_modes",
    "extension_period",
    "fourier_modes",
    "noise_floor",
    "require_modes",
    "shift_samples",
]
