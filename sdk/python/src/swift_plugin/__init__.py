"""Write plugins for `swift-host` in Python. A loss is a class with hyper-parameters and one function:

    from swift_plugin import Batch, Loss, Outputs, Report, parameter

    class Scaled(Loss):
        \"\"\"Cross-entropy times a factor.\"\"\"

        factor: float = parameter("What the loss is multiplied by.", default=1.0)

        def compute(self, batch: Batch, policy: Outputs, reference: Outputs | None) -> Report:
            share = -(policy.token_logps() * batch.loss_weights()).sum() / batch.global_token_count()
            return Report(share * self.factor)

`swift_plugin.testing` runs it natively, and `python -m swift_plugin.build` makes the component that the host runs.
"""

from . import log
from .batch import Batch, Outputs
from .callback import Action, Callback, Evaluate, Event, LogMetric, Run, RunState, Save, Stop
from .dataset import Conversation, Dataset, Message, Row, Sample
from .errors import DtypeMismatch, Error, InvalidArgument, OutOfMemory, ShapeMismatch, Unsupported
from .loss import Input, Loss, Report, Requirements, TrainedParts
from .metric import Metric
from .model import (
    Architecture,
    AttentionOptions,
    Context,
    Head,
    LongerSequences,
    Model,
    ModelParameter,
    Role,
    RotaryTable,
    Stack,
)
from .optimizer import OptimizedParameter, Optimizer, Slot, Step, Update
from .plugin import Parameter, ParameterType, Plugin, parameter, remembered
from .reward import Completion, Reward
from .sampler import Generation, Sampler
from .schedule import Schedule
from .template import (
    Answer,
    Call,
    Content,
    LossScale,
    Piece,
    Rendered,
    RenderOptions,
    Template,
    Text,
    TextBegin,
    TextEnd,
    TokenId,
    TokenName,
    Training,
)
from .tensor import Dtype, Tensor
from .tool_parser import ToolParser

__version__ = "0.1.0"

__all__ = [
    "Action",
    "Answer",
    "Architecture",
    "AttentionOptions",
    "Batch",
    "Call",
    "Callback",
    "Completion",
    "Content",
    "Context",
    "Conversation",
    "Dataset",
    "Dtype",
    "DtypeMismatch",
    "Error",
    "Evaluate",
    "Event",
    "Generation",
    "Head",
    "Input",
    "InvalidArgument",
    "LogMetric",
    "LongerSequences",
    "Loss",
    "LossScale",
    "Message",
    "Metric",
    "Model",
    "ModelParameter",
    "OptimizedParameter",
    "Optimizer",
    "OutOfMemory",
    "Outputs",
    "Parameter",
    "ParameterType",
    "Piece",
    "Plugin",
    "RenderOptions",
    "Rendered",
    "Report",
    "Requirements",
    "Reward",
    "Role",
    "RotaryTable",
    "Row",
    "Run",
    "RunState",
    "Sample",
    "Sampler",
    "Save",
    "Schedule",
    "ShapeMismatch",
    "Slot",
    "Stack",
    "Step",
    "Stop",
    "Template",
    "Tensor",
    "Text",
    "TextBegin",
    "TextEnd",
    "TokenId",
    "TokenName",
    "ToolParser",
    "TrainedParts",
    "Training",
    "Unsupported",
    "Update",
    "log",
    "parameter",
    "remembered",
]
