"""The space of a search: which values each key of a training may have, and on what that depends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, ValueType
from hydra.errors import HydraException

from elmo.errors import InputError, shown, suggest

ENTRY_KEYS = ("value", "when")
ADVICE = (
    "write choice(a,b), range(1,9,step=2), interval(0.1,1), int(interval(1,9)), tag(log,interval(1e-4,1))"
)


class Draws(Protocol):
    """What draws the values of a trial, as one of Optuna's does."""

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True)
class Choices:
    """Some values, as texts of overrides."""

    values: tuple[str, ...]

    def draw(self, draws: Draws, name: str) -> str:
        return str(draws.suggest_categorical(name, self.values))

    def examples(self) -> tuple[str, ...]:
        """The values whose configs are checked: all."""
        return self.values


@dataclass(frozen=True)
class Numbers:
    """The numbers from `low` to `high`, both included, at equal distances if there is a step."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, draws: Draws, name: str) -> str:
        if self.is_whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return str(draws.suggest_int(name, low, high, step=step, log=self.log))
        value = draws.suggest_float(name, self.low, self.high, step=self.step, log=self.log)
        return repr(value if self.step is None else float(f"{value:.12g}"))  # 0.3 and not 0.30000000000000004

    def examples(self) -> tuple[str, ...]:
        """The values whose configs are checked: the ends."""
        return (repr(self.low), repr(self.high))


@dataclass(frozen=True)
class Parameter:
    """A key with its values.

    Attributes:
        name: in the study: the key, followed by the condition where a key has several entries.
        when: the values that other keys must have, by key.
    """

    name: str
    key: str
    domain: Choices | Numbers
    when: Mapping[str, tuple[str, ...]]

    def is_active(self, values: Mapping[str, str]) -> bool:
        """Whether its conditions hold, given the values of the keys before it."""
        return all(values.get(key) in allowed for key, allowed in self.when.items())


class Space:
    """The parameters of a search, each after those that its condition names."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = tuple(parameters)

    def draw(self, draws: Draws) -> dict[str, str]:
        """A value for each key that has one, as text of an override."""
        return self._fill(lambda parameter: parameter.domain.draw(draws, parameter.name))

    def examples(self) -> Iterator[dict[str, str]]:
        """Values of all keys, such that each value of a choice and each end of an interval is in one."""
        seen = []
        for parameter in self.parameters:
            for value in parameter.domain.examples():
                wanted = {**self._conditions(parameter), parameter.key: value}
                found = self._fill(lambda other, wanted=wanted: _wanted(other, wanted))  # type: ignore[misc]
                if found not in seen:
                    seen.append(found)
                    yield found

    def changed(self, other: Space) -> Space:
        """The space with the parameters of another one, in the places of those with the same keys.

        Conditions stay: one that can hold no more leaves its parameter out.
        """
        new = {parameter.key: parameter for parameter in other.parameters}
        keys = {parameter.key for parameter in self.parameters}
        mine = [one for one in self.parameters if one.key not in new or one is self._first(one.key)]
        return Space(
            [*(new.get(one.key, one) for one in mine), *(new[key] for key in new if key not in keys)]
        )

    def _first(self, key: str) -> Parameter:
        return next(parameter for parameter in self.parameters if parameter.key == key)

    def num_numbers(self) -> int:
        """How many parameters are numbers and always have a value."""
        return sum(isinstance(one.domain, Numbers) and not one.when for one in self.parameters)

    def _fill(self, choose: Callable[[Parameter], str]) -> dict[str, str]:
        values: dict[str, str] = {}
        for parameter in self.parameters:
            if parameter.key not in values and parameter.is_active(values):
                values[parameter.key] = choose(parameter)
        return values

    def _conditions(self, parameter: Parameter) -> dict[str, str]:
        """Values under which a parameter is active."""
        found: dict[str, str] = {}
        for key, allowed in parameter.when.items():
            parent = next(
                one for one in self.parameters if one.key == key and isinstance(one.domain, Choices)
            )
            found |= {**self._conditions(parent), key: allowed[0]}
        return found


def _wanted(parameter: Parameter, wanted: Mapping[str, str]) -> str:
    examples = parameter.domain.examples()
    value = wanted.get(parameter.key)
    return value if value in examples else examples[0]


def read_space(entries: Mapping[str, Any]) -> Space:
    """The space of a search file.

    Args:
        entries: by key of `experiments.train`: a text in the syntax of Hydra's sweeps; or a mapping of this
            text as `value` and of conditions on keys before it as `when`, such as `head=bilstm,cnn` (a list:
            all must hold); or a list of such mappings, of which the first counts whose conditions hold. Keys
            may also be nested.

    Raises:
        InputError: a line for each entry that cannot be read.
    """
    parameters: list[Parameter] = []
    faults: list[str] = []
    for key, given in flat_entries(entries):
        several = isinstance(given, (list, tuple))
        for index, entry in enumerate(given if several else [given]):
            where = f"space.{key}[{index}]" if several else f"space.{key}"
            try:
                parameters.append(_read_entry(str(key), entry, where, parameters, is_one_of=several))
            except InputError as error:
                faults.append(str(error))
    kinds: dict[str, set[type]] = {}
    for parameter in parameters:
        kinds.setdefault(parameter.key, set()).add(type(parameter.domain))
    faults += [f"space.{key}: has both choices and numbers" for key, found in kinds.items() if len(found) > 1]
    if faults:
        raise InputError("\n".join(faults))
    return Space(parameters)


def flat_entries(entries: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of a space by dotted key."""
    for key, entry in entries.items():
        if isinstance(entry, Mapping) and not set(ENTRY_KEYS) & entry.keys():
            yield from flat_entries(entry, f"{where}{key}.")
        else:
            yield f"{where}{key}", entry


def _read_entry(
    key: str, entry: Any, where: str, before: Sequence[Parameter], *, is_one_of: bool
) -> Parameter:
    conditions: list[Any] = []
    if isinstance(entry, Mapping):
        unknown = [name for name in entry if name not in ENTRY_KEYS]
        if unknown or "value" not in entry:
            fault = f"unknown key {shown(unknown[0])}" if unknown else "value is missing"
            raise InputError(f"{where}: {fault}; expected {{value: 'choice(...)', when: KEY=VALUE}}")
        given = entry.get("when") or []
        conditions = list(given) if isinstance(given, (list, tuple)) else [given]
        entry = entry["value"]
    when = dict(_read_condition(text, f"{where}.when", before) for text in conditions)
    name = f"{key} ({', '.join(map(str, conditions))})" if is_one_of and conditions else key
    return Parameter(name, key, _read_domain(key, entry, where), when)


def _read_condition(text: Any, where: str, before: Sequence[Parameter]) -> tuple[str, tuple[str, ...]]:
    override = _parse(str(text), where, "expected KEY=VALUE or KEY=VALUE,VALUE of a key above")
    key = override.key_or_group
    choices = [one.domain.values for one in before if one.key == key and isinstance(one.domain, Choices)]
    if not choices:
        keys = [one.key for one in before if isinstance(one.domain, Choices)]
        raise InputError(f"{where}: {key} is no choice that stands above{suggest(key, keys)}")
    known = {value for values in choices for value in values}
    allowed = tuple(_texts(override))
    for value in allowed:
        if value not in known:
            raise InputError(f"{where}: {value} is no choice of {key}{suggest(value, known)}")
    return key, allowed


def _read_domain(key: str, text: Any, where: str) -> Choices | Numbers:
    if not isinstance(text, str):
        raise InputError(f"{where}: {shown(text)} is no set of values; {ADVICE}")
    override = _parse(f"{key}={text}", where, ADVICE)
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise InputError(f"{where}: {text} names options by a pattern; {ADVICE}")
    value: Any = override.value()
    if override.is_choice_sweep():
        return _choices(tuple(_texts(override)), where)
    if isinstance(value, RangeSweep):
        return _range(value, where)
    if isinstance(value, IntervalSweep):
        return _numbers(Numbers(*_ends(value), log="log" in value.tags), where)
    raise InputError(f"{where}: {text} is no set of values; {ADVICE}")


def _choices(values: tuple[str, ...], where: str) -> Choices:
    if len(set(values)) < len(values):
        raise InputError(f"{where}: has a value twice")
    return Choices(values)


def _range(value: RangeSweep, where: str) -> Numbers:
    """The values that Hydra would make of it: its end is left out."""
    values = sorted(value.range())
    if not values:
        raise InputError(f"{where}: the range is empty")
    is_log, step = "log" in value.tags, abs(value.step)
    if is_log and step != 1:
        raise InputError(f"{where}: a range with log has no step; {ADVICE}")
    return _numbers(Numbers(values[0], values[-1], None if is_log else step, is_log), where)


def _numbers(numbers: Numbers, where: str) -> Numbers:
    if numbers.low > numbers.high:
        raise InputError(f"{where}: begins at {numbers.low:g}, above its end {numbers.high:g}")
    if numbers.log and numbers.low <= 0:
        raise InputError(f"{where}: log takes numbers above 0 alone, and it begins at {numbers.low:g}")
    return numbers


def _ends(value: IntervalSweep) -> tuple[float, float]:
    assert value.start is not None and value.end is not None
    return value.start, value.end


def _parse(text: str, where: str, advice: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise InputError(f"{where}: {text} cannot be read; {advice}") from error
    if override.is_delete() or override.value_type is None:
        raise InputError(f"{where}: {text} cannot be read; {advice}")
    return override


def _texts(override: Override) -> list[str]:
    if override.is_choice_sweep():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]
