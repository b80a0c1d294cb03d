"""The length of a message, which damaged files would decide otherwise."""

import pickle

from elmo.errors import InputError


def test_a_message_is_told_as_it_is() -> None:
    message = "a.csv:3: no column 'text'\nb.csv: empty\u2028\n"
    assert str(InputError(message)) == message


def test_a_long_line_loses_its_middle() -> None:
    message = str(InputError(f"a.json: got {'x' * 100_000}; expected a number"))
    assert len(message) < 1000
    assert message.startswith("a.json: got xxx") and message.endswith("xxx; expected a number")


def test_of_many_lines_the_first_are_told() -> None:
    error = InputError("\n".join(f"sizes[{index}]: expected int" for index in range(1000)))
    first, *_, last_fault, end = str(error).splitlines()
    number = len(str(error).splitlines()) - 1
    assert len(str(error)) <= 2000
    assert first == "sizes[0]: expected int"
    assert last_fault == f"sizes[{number - 1}]: expected int"
    assert end == f"... and {1000 - number} more"


def test_a_value_with_very_many_line_ends_is_told_in_part() -> None:
    assert len(str(InputError(f"a.csv:3: got {chr(10) * 100_000}"))) <= 2000


def test_a_message_is_shortened_once() -> None:
    error = InputError("\n".join([f"{index}: {'x' * 1200}" for index in range(9)]))
    assert str(InputError(f"{error}")) == str(error) == str(pickle.loads(pickle.dumps(error)))
