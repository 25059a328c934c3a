"""The paper's figures, two studies and an example in one dimension, each a function from `Settings` to an `Outcome`."""

from simsnn_ref.experiments import fig1, fig2, fig3, lp, ntk, one_dimension
from simsnn_ref.experiments.base import SIZES, Claim, Outcome, Settings, Table, to_dict, to_markdown

__all__ = ["EXPERIMENTS", "SIZES", "Claim", "Outcome", "Settings", "Table", "to_dict", "to_markdown"]

EXPERIMENTS = {
    "fig1": fig1.run,
    "fig2": fig2.run,
    "fig3": fig3.run,
    "ntk": ntk.run,
    "lp": lp.run,
    "logcos": one_dimension.run,
}
"""By name: the figures of the paper, the studies of sections 2.3 and 3.3, and one dimension (sections 1.2 and 3.2)."""
