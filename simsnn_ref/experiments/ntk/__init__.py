"""What section 2.3 argues from and does not show: the neural tangent kernel of each first layer, and training by it.

Gradient descent on half the mean square of e = u - t over n points,

    theta <- theta - eta J^T e / n,    J = du/dtheta,

changes the residue to first order in eta by e <- (I - eta K) e with the kernel K = J J^T / n, whose eigenvalues hardly
depend on n. As long as J does not move, the component of e on each eigenvector decays by itself,

    v_i.e(t) = (1 - eta lambda_i)^t v_i.e(0),    about exp(-eta lambda_i t),

and eta < 2 / lambda_1 bounds the pace of all others by that of the first. In a finite network J does move, so that this
is a prediction to be measured against: `run` trains each network and compares.

The target is a sum of three waves over a periodic interval. Every network starts as in mode ``paper``, with Xavier
weights, and takes the same number of steps of the same eta lambda_1.
"""

from simsnn_ref.experiments.ntk.experiment import run

__all__ = ["run"]
