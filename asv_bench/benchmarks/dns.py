"""Time of the direct numerical simulation that computes the paper's target."""

from simsnn_ref.problems import turbulence


class TimeTurbulence:
    """Ten third-order Runge-Kutta steps on N x N points; preparing the operators takes as long as a few."""

    params = (64, 128, 256, 512)
    param_names = ("N",)

    def setup(self, n):
        self.omega = turbulence.initial_vorticity(n)
        self.dt = 0.1 / n

    def time_ten_steps(self, n):
        turbulence.solve(self.omega, reynolds=300.0, time=10 * self.dt, dt=self.dt)
