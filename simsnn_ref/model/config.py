"""All options of a fit: built from groups, from flat names, from TOML, or from what a model file holds."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from simsnn_ref.errors import ConfigError
from simsnn_ref.model.option_groups import (
    FirstLayerOptions,
    NetworkOptions,
    RunOptions,
    SamplingOptions,
    StageOptions,
    TrainingOptions,
)
from simsnn_ref.model.options import AUTO, Option, OptionGroup, nearest, option, options_of, shown
from simsnn_ref.network import TRAINABLE_WAVENUMBERS

__all__ = ["OPTIONS", "FitConfig", "config_from_dict", "config_from_file", "config_from_toml", "zero_to_none"]

T = TypeVar("T")

STEPS = {"accurate": (500,), "paper": (150_000,)}
SECOND_ORDER_STEPS = (40,)
"""What None is for steps: of Adam by mode, and of all other optimizers."""

_ZEROS: dict[str, Any] = {
    "n_features": 0,
    "max_features": 0,
    "refine": 0,
    "z1_rms": 0.0,
    "p": 0.0,
    "steps": [],
    "max_seconds": 0.0,
}
"""What stands for None, or for a None in a tuple, in model files and on the command line; others have it as it is."""


@dataclass(frozen=True, kw_only=True)
class FitConfig(OptionGroup):
    """Every option of `simsnn_ref.fit`: the mode, and groups that are dataclasses and TOML tables of the same names.

    An option also has a flat name, which no other group has: its own, but ``stages`` for ``stages.count`` and
    ``first_layer`` for ``first_layer.kind``. That is the keyword of `of`, `with_options`, `simsnn_ref.fit` and
    `simsnn_ref.SIMSNNRegressor`, the flag on the command line and the key in model files.

    None, where it is allowed, leaves the choice to the fit; `resolved` fills in what then follows from the mode.
    Options per stage take one value or one for each stage; the last one serves all further stages.

    Attributes
    ----------
    mode : str
        ``accurate`` or ``paper``.
    stages : StageOptions
    first_layer : FirstLayerOptions
    network : NetworkOptions
    training : TrainingOptions
    sampling : SamplingOptions
    run : RunOptions

    Raises
    ------
    ConfigError
        For a value of the wrong type, out of range or at odds with the mode; the message names the option.

    Examples
    --------
    >>> from simsnn_ref import FitConfig
    >>> from simsnn_ref.model import StageOptions, TrainingOptions
    >>> config = FitConfig(mode="paper", stages=StageOptions(count=2), training=TrainingOptions(p=4, steps=(100, 500)))
    >>> config == FitConfig.of(mode="paper", stages=2, p=4, steps=(100, 500))
    True
    >>> config.training.p, config.with_options(p=None).training.p
    (4.0, None)
    >>> config.with_options(p=None).resolved().training.p  # that of mode paper
    10.0
    """

    mode: str = option(
        "accurate",
        "accurate: small error between the samples too; paper: the paper to the letter, trained at the samples",
        choices=("accurate", "paper"),
    )
    stages: StageOptions = field(default_factory=StageOptions)
    first_layer: FirstLayerOptions = field(default_factory=FirstLayerOptions)
    network: NetworkOptions = field(default_factory=NetworkOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    run: RunOptions = field(default_factory=RunOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        for group, group_class in _GROUPS.items():
            value = getattr(self, group)
            if not isinstance(value, group_class):
                raise ConfigError(
                    f"{group} = {value!r}: expected {group_class.__name__}; FitConfig.of takes options by flat name"
                )
        self._check_mode()
        self._check_steps()

    def _check_steps(self) -> None:
        steps = self.training.steps or ()
        if any(first > 0 and second == 0 for first, second in pairwise(steps)):
            raise ConfigError(
                f"steps = {shown(steps)}: a stage of no steps after others; commas separate stages, not thousands"
            )

    def _check_mode(self) -> None:
        if self.mode == "accurate" and set(self.first_layer.kind) != {"si"}:
            raise ConfigError(
                f"first_layer = {', '.join(self.first_layer.kind)}: mode 'accurate' has 'si'; use mode 'paper'"
            )
        if self.mode == "accurate" and self.first_layer.train_wavenumbers:
            raise ConfigError("train_wavenumbers = true: mode 'accurate' keeps them at Fourier modes; use mode 'paper'")
        if self.first_layer.train_wavenumbers and not self._may_train_wavenumbers:
            raise ConfigError(
                f"train_wavenumbers = true: first_layer {', '.join(self.first_layer.kind)} has none that could train"
            )
        for each in OPTIONS.values():
            value = attrgetter(each.path)(self)
            if each.mode not in ("", self.mode) and value != each.default:
                raise ConfigError(
                    f"{each.name} = {shown(value)}: mode {self.mode!r} has no use for it; use mode {each.mode!r}"
                )

    @classmethod
    def of(cls, /, **options: Any) -> "FitConfig":
        """The config with these options by their flat names, and the default for all others.

        Raises
        ------
        ConfigError
            For an unknown option (with the nearest name and its group) or a bad value.
        """
        return cls().with_options(**options)

    def with_options(self, /, **options: Any) -> "FitConfig":
        """The same config with these options, by their flat names, in place of its own; raises as `of` does."""
        changes: dict[str, dict[str, Any]] = {}
        for name, value in options.items():
            if name not in OPTIONS:
                raise ConfigError(_unknown(name))
            changes.setdefault(OPTIONS[name].group, {})[OPTIONS[name].attribute] = value
        mode = changes.pop("", {})
        return replace(self, **mode, **{group: replace(getattr(self, group), **changes[group]) for group in changes})

    def to_flat(self) -> dict[str, Any]:
        """Every option by its flat name, as `of` takes them."""
        return {name: attrgetter(each.path)(self) for name, each in OPTIONS.items()}

    def to_dict(self) -> dict[str, Any]:
        """`to_flat` in JSON's types, as model files hold it and `config_from_dict` reads it: 0 for None."""
        return {name: _none_to_zero(value, _ZEROS.get(name)) for name, value in self.to_flat().items()}

    def _decided(self, name: str) -> Any:
        """An option by its flat name; that of the mode in place of None."""
        value = attrgetter(OPTIONS[name].path)(self)
        by_mode = OPTIONS[name].by_mode
        return by_mode[self.mode] if value is None and by_mode is not None else value

    @property
    def n_stages(self) -> int:
        """Largest number of stages: ``stages.count``, or that of the mode."""
        return int(self._decided("stages"))

    @property
    def max_features(self) -> int:
        """Most modes where n_features is None: ``first_layer.max_features``, or that of the mode."""
        return int(self._decided("max_features"))

    @property
    def p(self) -> float:
        """Exponent of the L^p loss: ``training.p``, or that of the mode."""
        return float(self._decided("p"))

    @property
    def optimizer(self) -> str:
        """Training method: ``training.optimizer``, or that of the mode."""
        return str(self._decided("optimizer"))

    @property
    def steps(self) -> tuple[int, ...]:
        """Most steps, per stage: ``training.steps``, or that of mode and optimizer."""
        steps = self.training.steps
        if steps is None:
            return STEPS[self.mode] if self.optimizer == "adam" else SECOND_ORDER_STEPS
        return steps

    @property
    def learning_rate(self) -> float:
        """Adam's initial step size: ``training.learning_rate``, or that of the mode."""
        return float(self._decided("learning_rate"))

    @property
    def schedule(self) -> str:
        """How it is annealed: ``training.schedule``, or that of the mode."""
        return str(self._decided("schedule"))

    def resolved(self) -> "FitConfig":
        """The same options, with what mode and optimizer decide in place of None."""
        by_mode = {name: self._decided(name) for name, each in OPTIONS.items() if each.by_mode is not None}
        return self.with_options(**by_mode, steps=self.steps, train_wavenumbers=self._trains_wavenumbers)

    def trains_wavenumbers(self, stage: int) -> bool:
        """Whether B trains in the 0-based `stage`."""
        return self._trains_wavenumbers and self.for_stage(self.first_layer.kind, stage) in TRAINABLE_WAVENUMBERS

    @property
    def _trains_wavenumbers(self) -> bool:
        """``first_layer.train_wavenumbers``, or whether mode paper has a layer that may."""
        trains = self.first_layer.train_wavenumbers
        return self.mode == "paper" and self._may_train_wavenumbers if trains is None else trains

    @property
    def _may_train_wavenumbers(self) -> bool:
        return not set(TRAINABLE_WAVENUMBERS).isdisjoint(self.first_layer.kind)

    def for_stage(self, values: tuple[T, ...], stage: int) -> T:
        """Entry of a per-stage option for the 0-based `stage`."""
        return values[min(stage, len(values) - 1)]

    def to_toml(self) -> str:
        """Text that `config_from_toml` reads back: a table for each group, each option with its meaning."""
        lines: list[str] = []
        group = ""
        for each in OPTIONS.values():
            if each.group != group:
                group = each.group
                lines += ["", f"[{group}]"]
            lines += [f"# {each.help}", f"{each.attribute} = {_toml(attrgetter(each.path)(self))}"]
        return "\n".join(lines) + "\n"


_GROUPS: dict[str, Any] = {item.name: item.type for item in fields(FitConfig) if "option" not in item.metadata}

OPTIONS: dict[str, Option] = {
    each.name: each
    for each in (*options_of(FitConfig), *(each for name in _GROUPS for each in options_of(_GROUPS[name], name)))
}
"""All of them by their flat names."""


def config_from_dict(values: Mapping[str, Any], source: str = "config") -> FitConfig:
    """Build a config from what `FitConfig.to_dict` gives; options that are not there keep their defaults.

    Raises
    ------
    ConfigError
        For an unknown option (with the nearest name and its group) or a bad value; the message names `source`.
    """
    try:
        return FitConfig.of(**zero_to_none(values))
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def config_from_file(values: Mapping[str, Any]) -> FitConfig:
    """Build the config of a model file or checkpoint, which hold all that mode and optimizer decided.

    Where earlier versions left that open, they took what is filled in here, and they did not look at options of the
    other mode; raises as `config_from_dict` does.
    """
    of_other_mode = {each.name for each in OPTIONS.values() if each.mode not in ("", values.get("mode"))}
    earlier: dict[str, Any] = {}
    if values.get("optimizer") == AUTO:
        earlier["optimizer"] = "second_order"
    if values.get("train_wavenumbers") is None:
        kinds = values.get("first_layer")
        earlier["train_wavenumbers"] = isinstance(kinds, list) and ("msnn" in kinds or "cos" in kinds)
    return config_from_dict({name: value for name, value in values.items() if name not in of_other_mode} | earlier)


def zero_to_none(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their flat names with None where model files and the command line have 0 for it."""
    return {name: _zero_to_none(value, _ZEROS.get(name)) for name, value in options.items()}


def _none_to_zero(value: Any, zero: Any) -> Any:
    if isinstance(value, tuple):
        return [zero if entry is None else entry for entry in value]
    return zero if value is None else value


def _zero_to_none(value: Any, zero: Any) -> Any:
    if isinstance(value, bool) or zero is None:
        return value
    if isinstance(value, list | tuple) and value != zero:
        return [_zero_to_none(entry, zero) for entry in value]
    return None if value == zero else value


def config_from_toml(path: str | Path, /, **options: Any) -> FitConfig:
    """Read a TOML file: ``mode``, and a table for each group. An option left out, or ``"auto"`` for None, is the fit's.

    Parameters
    ----------
    path : str or Path
    **options
        By their flat names, in place of those in the file.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, or an option is unknown, in the wrong table or bad; the message names the
        file, and the table where the option belongs.
    """
    for name, value in options.items():
        OPTIONS[name].checked(value)
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    try:
        return FitConfig.of(**_flat(tables) | options)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    """The options in the tables of a file, by their flat names."""
    found = {}
    for table, content in tables.items():
        is_table = table in _GROUPS and isinstance(content, dict)
        for key, value in content.items() if is_table else [(table, content)]:
            path = f"{table}.{key}" if is_table else key
            known = next((each for each in OPTIONS.values() if each.path == path), None)
            if known is None:
                raise ConfigError(_misplaced(key, value))
            found[known.name] = value
    return found


def _named(name: str) -> Option | None:
    """The option of that flat name, or else of that attribute."""
    return OPTIONS.get(name) or next((each for each in OPTIONS.values() if each.attribute == name), None)


def _misplaced(key: str, value: Any) -> str:
    """What is wrong with a key of a TOML file that is no option where it stands."""
    each = _named(key)
    if each is not None and each.group:
        renamed = f", as {each.attribute}" if each.attribute != key else ""
        return f"{key} belongs in the table [{each.group}]{renamed}"
    if each is not None:
        return f"{key} belongs above all tables"
    if key in _GROUPS:
        return f"{key} = {value!r}: expected a table, [{key}]"
    if isinstance(value, dict):
        close = nearest(key, _GROUPS)
        return f"unknown table [{key}]{f' (did you mean [{close}]?)' if close else ''}"
    return _unknown(key)


def _unknown(name: str) -> str:
    close = _named(nearest(name, [*OPTIONS, *(each.attribute for each in OPTIONS.values())]))
    if close is None:
        return f"unknown option {name!r}"
    return f"unknown option {name!r} (did you mean {close.name!r}{f', which is {close.path}' if close.group else ''}?)"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return '"auto"' if value == (None,) else f"[{', '.join(map(_toml, value))}]"
    if value is None:
        return '"auto"'
    # JSON's text is TOML's for all that an option may be; repr of a float is the shortest that reads back the same.
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
