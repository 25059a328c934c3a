"""Methods that follow curvature: Gauss-Newton, Levenberg-Marquardt and L-BFGS, and what they share."""
