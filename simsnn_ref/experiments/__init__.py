"""The paper's figures and two studies of what it argues from, each a function from `Settings` to an `Outcome`."""

from simsnn_ref.experiments import fig1, fig2, fig3, lp, ntk
from simsnn_ref.experiments.base import SIZES, Claim, Outcome, Settings, Table, to_dict, to_markdown

__all__ = ["EXPERIMENTS", "SIZES", "Claim", "Outcome", "Settings", "Table", "to_dict", "to_markdown"]

EXPERIMENTS = {"fig1": fig1.run, "fig2": fig2.run, "fig3": fig3.run, "ntk": ntk.run, "lp": lp.run}
"""By name: the figures of the paper, then the studies of sections 2.3 and 3.3."""
