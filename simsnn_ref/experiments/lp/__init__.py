"""Section 3.3: what the exponent p of the loss makes of a stage's residue, and what the next stage makes of that.

The paper trains on the L^p norm of eq. 7 with p = 10, "which prevents large spikes in the residue so the next stage of
the multistage neural network can learn the residue more readily", and shows neither. Here a first stage is trained with
several p, everything else being equal, and its residue e is described by

    RMS(e),   max|e|,   max|e| / RMS(e),   the excess kurtosis <(e - <e>)^4> / <(e - <e>)^2>^2 - 3,   n(|e| > 5 RMS(e)).

A second stage then learns e with an exponent q of its own. q = p is the paper's method. All four pairs of 2 and 10
separate the two parts that p plays: which residue is easier to learn (same q), and which loss learns better (same p).
"""

from simsnn_ref.experiments.lp.experiment import run

__all__ = ["run"]
