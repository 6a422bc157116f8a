"""Hyper-parameters and what is remembered."""

import pytest

from swift_plugin import Error, ParameterType, Plugin, parameter, remembered


class Things(Plugin):
    """Does things
    well.

    With an explanation.
    """

    strength: float = parameter("How strongly.", default=0.1, minimum=0.0, maximum=1.0)
    times: int = parameter("How often.", default=2)
    names: list[str] = parameter("Which ones.", default=[])
    until: int | None = parameter("Until when; for ever by default.", default=None)
    mode: str = parameter("In which way.", default="fast", choices=["fast", "slow"])
    loud: bool = parameter("Whether it is heard.", default=False)
    best: float | None = remembered(default=None)
    history: list[float] = remembered(default=[])


class MoreThings(Things):
    """Does more."""

    times: int = parameter("How often.", default=3)
    more: float = parameter("How much more.", default=1.0)


class Nothing(Plugin):
    pass


def test_a_description_has_names_types_defaults_and_summaries() -> None:
    assert Things.summary() == "Does things well."
    assert Nothing.summary() == ""
    shown = [(each.name, each.type, each.default, each.summary) for each in Things.parameters()]
    assert shown == [
        ("strength", ParameterType.NUMBER, 0.1, "How strongly."),
        ("times", ParameterType.INTEGER, 2, "How often."),
        ("names", ParameterType.LIST, [], "Which ones."),
        ("until", ParameterType.INTEGER, None, "Until when; for ever by default."),
        ("mode", ParameterType.TEXT, "fast", "In which way."),
        ("loud", ParameterType.BOOLEAN, False, "Whether it is heard."),
    ]


def test_values_come_from_json_and_the_rest_keeps_its_default() -> None:
    things = Things.from_json('{"strength": 1, "names": ["a"], "until": 7}')
    assert (things.strength, things.times, things.until, things.names) == (1.0, 2, 7, ["a"])
    assert isinstance(things.strength, float)
    assert Nothing.from_json("{}").parameters() == []


def test_a_subclass_has_its_parameters_after_those_of_its_base() -> None:
    assert [each.name for each in MoreThings.parameters()][-2:] == ["loud", "more"]
    assert (MoreThings().times, Things().times) == (3, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"times": 1.5}', "parameter `times` is 1.5, and must be a whole number"),
        ('{"times": true}', "parameter `times` is true, and must be a whole number"),
        ('{"times": null}', "parameter `times` is null, and must be a whole number"),
        ('{"loud": 1}', "parameter `loud` is 1, and must be true or false"),
        ('{"strength": 2}', "parameter `strength` is 2, and must be at most 1.0"),
        ('{"mode": "idle"}', 'parameter `mode` is "idle", and must be one of "fast", "slow"'),
        ('{"time": 1}', "there is no parameter `time`; there are `strength`, `times`"),
        ("[]", "the hyper-parameters are no JSON object"),
    ],
)
def test_a_wrong_value_is_refused_by_name(given: str, message: str) -> None:
    with pytest.raises(Error) as raised:
        Things.from_json(given)
    assert str(raised.value).startswith(message)


def test_a_plugin_without_parameters_says_so() -> None:
    with pytest.raises(Error, match="there is no parameter `time`; the plugin has none"):
        Nothing.from_json('{"time": 1}')


def test_what_is_remembered_goes_through_a_checkpoint() -> None:
    things = Things()
    things.best = 0.5
    things.history.append(1.0)
    resumed = Things()
    assert (resumed.best, resumed.history) == (None, [])
    resumed.restore_state(things.save_state())
    assert (resumed.best, resumed.history) == (0.5, [1.0])
    resumed.forget()
    assert (resumed.best, resumed.history) == (None, [])


def test_a_state_of_another_plugin_is_refused() -> None:
    assert Nothing().save_state() == ""
    Nothing().restore_state("")
    with pytest.raises(Error, match="the state is not one of this plugin"):
        Nothing().restore_state(Things().save_state())


def test_a_parameter_needs_a_type_that_the_contract_has() -> None:
    with pytest.raises(TypeError, match="parameter `table` of `Wrong` needs a type"):

        class Wrong(Plugin):  # pyright: ignore[reportUnusedClass]
            table: dict[str, int] = parameter("A table.", default={})
