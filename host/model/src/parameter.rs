use swift_runtime::Role;
use swift_tensor::{ParameterId, Value};

/// A parameter that training changes.
#[derive(Clone, Debug)]
pub struct TrainableParameter {
    /// What its gradients go by.
    pub id: ParameterId,
    /// Its name in the files: Hugging Face's for the model's own, PEFT's for those of an adapter.
    pub name: String,
    /// Its elements. An optimiser changes them in place, and then calls `Model::parameters_changed`.
    pub value: Value,
    /// The role of the parameter, or of the weight that the adapter is on.
    pub role: Role,
    /// Whether weight decay applies: to all of an adapter; in full training not to biases and norms.
    pub weight_decay: bool,
    /// Whether it is the matrix `B` of an adapter, which LoRA+ (Hayou et al. 2024) gives a higher learning rate.
    pub adapter_b: bool,
}
