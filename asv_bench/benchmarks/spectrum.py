"""Time of the decompositions at the start and the end of a stage."""

from simsnn_ref.spectrum import Grid, energy_spectrum, fourier_modes

from .common import BACKEND, field


class TimeSpectrum:
    """All modes sorted by size (Algorithm 1) and E(k) (eq. 13) of N x N samples."""

    params = (32, 64, 128, 256, 512)
    param_names = ("N",)

    def setup(self, n):
        self.grid = Grid((n, n))
        self.u = field(self.grid)

    def time_fourier_modes(self, n):
        fourier_modes(self.u, self.grid, BACKEND)

    def time_energy_spectrum(self, n):
        energy_spectrum(self.u, self.grid, BACKEND)
