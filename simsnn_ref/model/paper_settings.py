"""What of a fit in mode paper is the paper's own setting, what the paper leaves open, and what the options change."""

from dataclasses import dataclass
from typing import Any

from simsnn_ref.model.config import OPTIONS, FitConfig
from simsnn_ref.model.options import shown
from simsnn_ref.network import TRAINABLE_WAVENUMBERS

__all__ = ["PaperSettings", "compare_with_paper"]

_AS_IN_THE_PAPER = (
    (("first_layer", "train_wavenumbers"), "the first layer of Algorithm 1, B and b trained and A fixed"),
    (("first_layer", "n_features"), "n_f by the number of primary modes"),
    (("z1_rms", "output_gain"), "Xavier's rule for the weights behind the first layer"),
    (("hidden",), "3 tanh layers of 30 units"),
    (("p",), "the L^10 loss over all training points"),
    (("optimizer", "learning_rate"), "Adam with a step size of 1e-3 at first"),
    (("steps",), "150000 steps a stage"),
    (("stages", "target", "target_rms"), "4 stages, ended at machine precision"),
)
"""Options, and what their values in mode paper mean; sections 3.3, 3.4 and 4.2."""

_LEFT_OPEN = (
    ("which modes are primary", ("mode_threshold", "max_features"), ""),
    ("what machine precision is", ("target", "target_rms"), ""),
    (
        "annealing",
        ("schedule", "plateau_window", "plateau_threshold"),
        ", the rule of the authors' earlier code",
    ),
    ("the other constants of Adam", ("beta1", "beta2", "epsilon"), ", those of its own paper"),
)
"""What the paper does not give, the options that settle it, and where their values come from."""

_GROUPS_OF_THE_METHOD = ("stages", "first_layer", "network", "training")
_SAME_RESULT = {"feature_map", "nufft_tolerance"}

_OF_METHODS = {
    **dict.fromkeys(("learning_rate", "schedule", "final_learning_rate"), ("adam",)),
    **dict.fromkeys(("plateau_window", "plateau_threshold", "beta1", "beta2", "epsilon"), ("adam",)),
    "inner_iterations": ("gauss_newton", "second_order"),
    "damping": ("gauss_newton", "levenberg_marquardt", "second_order"),
    "memory": ("lbfgs",),
    "stall_tolerance": ("gauss_newton", "levenberg_marquardt", "lbfgs", "second_order"),
}
"""The optimizers that have a use for an option; all for those that are not here."""

_OF_SCHEDULES = {
    "final_learning_rate": "exponential",
    "plateau_window": "plateau",
    "plateau_threshold": "plateau",
}
_OF_FIRST_LAYERS = {
    "mode_threshold": ("si", "fourier"),
    "max_features": ("si", "fourier"),
    "sigma": ("rff", "ffm", "cos"),
    "train_wavenumbers": TRAINABLE_WAVENUMBERS,
}
"""The schedule, and the first layers, that have a use for an option."""


@dataclass(frozen=True)
class PaperSettings:
    """A fit in mode paper beside the paper.

    Attributes
    ----------
    as_in_the_paper, left_open, changed : tuple of str
        Settings that are the paper's; what it leaves open, and how that was chosen; what the options or the data
        change.
    """

    as_in_the_paper: tuple[str, ...]
    left_open: tuple[str, ...]
    changed: tuple[str, ...]

    def sentences(self) -> tuple[str, ...]:
        """All of it, a sentence for each part that is not empty."""
        parts = (
            ("as in the paper", self.as_in_the_paper),
            ("left open by the paper", self.left_open),
            ("as in the paper, but", self.changed),
        )
        return tuple(f"{title}: {'; '.join(items)}" for title, items in parts if items)


def compare_with_paper(config: FitConfig, *, scattered: bool = False) -> PaperSettings:
    """Compare the options of a fit in mode paper with those that the mode has by itself.

    Parameters
    ----------
    config : FitConfig
        With ``mode = "paper"``.
    scattered : bool
        Whether the points are scattered, where there is no discrete Fourier transform.

    Examples
    --------
    >>> from simsnn_ref import FitConfig
    >>> config = FitConfig.of(mode="paper", optimizer="gauss_newton", train_wavenumbers=False)
    >>> print(compare_with_paper(config).sentences()[-1])
    as in the paper, but: B frozen; optimizer gauss_newton; steps 40
    """
    given, papers = config.resolved().to_flat(), FitConfig.of(mode="paper").resolved().to_flat()
    used = [name for name in given if _is_used(name, config)]
    changed = [name for name in used if given[name] != papers[name]]
    items = ["B frozen" if name == "train_wavenumbers" else _value(name, given) for name in changed]
    if scattered:
        items.append("modes by least squares, since the points are scattered")
    return PaperSettings(
        tuple(words for names, words in _AS_IN_THE_PAPER if not set(names) & set(changed)),
        tuple(
            f"{what}: {', '.join(_value(name, given) for name in names)}{source}"
            for what, names, source in _LEFT_OPEN
            if set(names) <= set(used) and not set(names) & set(changed)
        ),
        tuple(items),
    )


def _is_used(name: str, config: FitConfig) -> bool:
    """Whether the result of a fit depends on an option."""
    if OPTIONS[name].group not in _GROUPS_OF_THE_METHOD or name in _SAME_RESULT:
        return False
    counts_modes = None in config.first_layer.n_features
    return (
        config.optimizer in _OF_METHODS.get(name, (config.optimizer,))
        and config.schedule == _OF_SCHEDULES.get(name, config.schedule)
        and not set(config.first_layer.kind).isdisjoint(_OF_FIRST_LAYERS.get(name, config.first_layer.kind))
        and (counts_modes or name not in ("mode_threshold", "max_features"))
    )


def _value(name: str, given: dict[str, Any]) -> str:
    return f"{name} {shown(given[name])}"
