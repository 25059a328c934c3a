"""What of a fit in mode paper is the paper's own setting, what the paper leaves open, and what the options change."""

from dataclasses import dataclass
from typing import Any

from simsnn_ref.model.config import OPTIONS, FitConfig
from simsnn_ref.model.options import shown

__all__ = ["PaperSettings", "compare_with_paper"]

_AS_IN_THE_PAPER = (
    (("first_layer", "train_wavenumbers"), "the first layer of Algorithm 1, B and b trained and A fixed"),
    (("n_features",), "its width n_f the number of primary modes"),
    (("z1_rms", "output_gain"), "Xavier's rule for all other weights"),
    (("hidden",), "3 tanh layers of 30 units"),
    (("p",), "the L^10 loss over all samples"),
    (("optimizer", "learning_rate"), "Adam with a step size of 1e-3 at first"),
    (("steps",), "150000 steps a stage"),
    (("stages",), "4 stages, ended at machine precision"),
)
"""Options, and what their values in mode paper mean; sections 3.3, 3.4 and 4.2."""

_ANNEALING = {
    "plateau": ("schedule", "plateau_window", "plateau_threshold"),
    "exponential": ("schedule", "final_learning_rate"),
    "constant": ("schedule",),
}
_CONSTANTS_OF_ADAM = ("beta1", "beta2", "epsilon")
_OF_ADAM = {"learning_rate", *_CONSTANTS_OF_ADAM, *(name for names in _ANNEALING.values() for name in names)}

_GROUPS_OF_THE_METHOD = ("stages", "first_layer", "network", "training")
_SAME_RESULT = {"feature_map", "nufft_tolerance"}
"""How products are evaluated, whatever the method."""


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
    is_adam = config.optimizer == "adam"
    of_method = {name for name, each in OPTIONS.items() if each.group in _GROUPS_OF_THE_METHOD}
    irrelevant = _SAME_RESULT if is_adam else _SAME_RESULT | _OF_ADAM
    changed = [name for name in given if name in of_method - irrelevant and given[name] != papers[name]]
    left_open: list[tuple[str, tuple[str, ...], str]] = [
        ("which modes are primary", ("mode_threshold", "max_features"), ""),
        ("machine precision", ("target", "target_rms"), ""),
    ]
    if is_adam:
        left_open += [
            ("annealing", _ANNEALING[config.schedule], ", the rule of the authors' earlier code"),
            ("other constants of Adam", _CONSTANTS_OF_ADAM, ", those of its own paper"),
        ]

    def choice(what: str, names: tuple[str, ...], reason: str) -> str:
        values = ", ".join(_value(name, given) for name in names)
        return f"{what}: {values}{', by the options' if set(names) & set(changed) else reason}"

    is_open = {name for _, names, _ in left_open for name in names}
    items = [_value(name, given) for name in changed if name not in is_open]
    if scattered:
        items.append("modes by least squares, since the points are scattered")
    return PaperSettings(
        tuple(words for names, words in _AS_IN_THE_PAPER if not set(names) & set(changed)),
        tuple(choice(*each) for each in left_open),
        tuple(items),
    )


def _value(name: str, given: dict[str, Any]) -> str:
    return "B frozen" if name == "train_wavenumbers" else f"{name} {shown(given[name])}"
