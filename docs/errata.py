"""Print what Algorithm 1 as printed makes of a sampled field, against the modes of simsnn_ref (docs/conventions.md)."""

import numpy as np

from simsnn_ref import Grid, NumpyBackend
from simsnn_ref.spectrum import fourier_modes

N = 16
grid = Grid((N, N))
u = np.random.default_rng(0).standard_normal(grid.shape)
n = np.stack(np.meshgrid(np.arange(N), np.arange(N), indexing="ij"), axis=-1)


def sum_of_cosines(indices: np.ndarray, amplitudes: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Sum at the grid points, m.n reduced modulo N with integers; the phases are those of a grid that starts at 0."""
    turns = np.remainder(np.einsum("xyd,jd->xyj", n, indices), N) / N
    return np.cos(2 * np.pi * turns + phases) @ amplitudes


spectrum = np.fft.fft2(u)
m = np.stack(np.meshgrid(np.arange(N), np.arange(N // 2 + 1), indexing="ij"), axis=-1).reshape(-1, 2)
value = spectrum[m[:, 0], m[:, 1]]
as_printed = np.where(m[:, 1] > 0, 2.0, 1.0) / N**2 * np.abs(value)
modes = fourier_modes(u, grid, NumpyBackend())
origin = grid.origin_phases(modes.indices)

for name, cosines in (
    ("Algorithm 1 as printed", (m, as_printed, np.angle(value))),
    ("modes of simsnn_ref", (modes.indices, modes.amplitudes, modes.phases + origin)),
):
    print(f"{name:24} {np.max(np.abs(sum_of_cosines(*cosines) - u)):.1e}")
