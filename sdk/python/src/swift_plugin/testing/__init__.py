"""A host for unit tests: plugins run natively, on NumPy arrays in `float64`.

    from swift_plugin.testing import ModelOutputs, PackedBatch, check_gradient, evaluate

    batch = PackedBatch([3])  # the last of three positions has no label
    policy = ModelOutputs([-1.0, -3.0, 0.0])
    assert evaluate(Squared(), batch, policy).loss == 5.0
    check_gradient(Squared(), batch, policy)
"""

from . import reference
from .batch import PackedBatch
from .evaluate import Evaluation, check_gradient, evaluate
from .network import forward
from .outputs import ModelOutputs
from .run import descend, measure, tell
from .sampling import Answered, adjust

# All operations, of which an array finds its methods.
OPERATIONS = reference.OPERATIONS

__all__ = [
    "Answered",
    "Evaluation",
    "ModelOutputs",
    "PackedBatch",
    "adjust",
    "check_gradient",
    "descend",
    "evaluate",
    "forward",
    "measure",
    "tell",
]
