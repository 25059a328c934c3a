"""All options of a fit: built from groups, from flat names, from TOML, or from what a model file holds."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
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
from simsnn_ref.model.options import Option, OptionGroup, nearest, option, options_of

__all__ = ["OPTIONS", "FitConfig", "config_from_dict", "config_from_toml", "zero_to_none"]

T = TypeVar("T")

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

    None, where it is allowed, leaves the choice to the fit; `p`, `max_features` and `steps` are what it then takes.
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
    >>> config.with_options(p=None).p  # that of mode paper
    10.0
    """

    mode: str = option(
        "accurate",
        "accurate: small error between the samples too; paper: Algorithm 1, Xavier weights, training at the samples",
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

    def _check_mode(self) -> None:
        if self.mode == "accurate" and set(self.first_layer.kind) != {"si"}:
            raise ConfigError(
                f"first_layer = {', '.join(self.first_layer.kind)}: mode 'accurate' has 'si'; use mode 'paper'"
            )
        if self.mode == "accurate" and self.first_layer.train_wavenumbers:
            raise ConfigError("train_wavenumbers = true: mode 'accurate' keeps them at Fourier modes; use mode 'paper'")

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

    @property
    def p(self) -> float:
        """Exponent of the L^p loss: ``training.p``, or that of the mode."""
        return (2.0 if self.mode == "accurate" else 10.0) if self.training.p is None else self.training.p

    @property
    def max_features(self) -> int:
        """Most modes where n_features is None: ``first_layer.max_features``, or that of the mode."""
        most = self.first_layer.max_features
        return (400_000 if self.mode == "accurate" else 10_000) if most is None else most

    @property
    def steps(self) -> tuple[int, ...]:
        """Most steps, per stage: ``training.steps``, or that of the optimizer."""
        steps = self.training.steps
        return (500 if self.training.optimizer == "adam" else 40,) if steps is None else steps

    def resolved(self) -> "FitConfig":
        """The same options with those that depend on the mode or the optimizer filled in."""
        return self.with_options(p=self.p, max_features=self.max_features, steps=self.steps)

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


def config_from_toml(path: str | Path) -> FitConfig:
    """Read a TOML file: ``mode``, and a table for each group. An option left out, or ``"auto"`` for None, is the fit's.

    Raises
    ------
    ConfigError
        If the file cannot be read or parsed, or an option is unknown, in the wrong table or bad; the message names the
        file, and the table where the option belongs.
    """
    try:
        tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    try:
        return FitConfig.of(**_flat(tables))
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
            found[known.name] = _auto_to_none(value) if known.auto else value
    return found


def _auto_to_none(value: Any) -> Any:
    if isinstance(value, list):
        return [_auto_to_none(entry) for entry in value]
    return None if value == "auto" else value


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
