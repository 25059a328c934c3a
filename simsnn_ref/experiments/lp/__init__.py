"""Section 3.3: what the exponent p of the loss makes of a stage's residue."""

from simsnn_ref.experiments.lp.study import run

__all__ = ["run"]
