"""What section 2.3 argues from and does not show: the neural tangent kernel of each first layer."""

from simsnn_ref.experiments.ntk.study import run

__all__ = ["run"]
