from plugin_name import PluginName
from swift_plugin import Completion


def test_an_answer_with_the_solution_is_rewarded() -> None:
    scores = [PluginName().score(Completion(text, columns={"solution": 42})) for text in ("it is 42", "it is 7")]
    assert scores == [1.0, 0.0]
    assert PluginName().score(Completion("it is 42")) is None
