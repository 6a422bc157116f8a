//! How a model is wired, as a model plugin says it.

use swift_tensor::fused::LongerSequences;

/// What a parameter is, which decides its place in adapters, weight decay and sharding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A table of rows looked up by token id; rows are sharded.
    Embedding,
    /// A linear layer whose outputs are sharded.
    Column,
    /// A linear layer whose inputs are sharded.
    Row,
    /// The output projection; not a target of adapters unless named.
    Head,
    /// A norm's weight.
    Norm,
    /// A bias.
    Bias,
}

/// A tensor of the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in the safetensors files: `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Its shape, linear weights as `[out, in]`.
    pub shape: Vec<u64>,
    /// Its role.
    pub role: Role,
    /// The stage that uses it.
    pub stage: u32,
}

/// A table of rotary position embeddings. Angles are `position * inverse_frequencies[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryTable {
    /// One for each rotated pair; twice as many components of each head are rotated, the rest passes through.
    pub inverse_frequencies: Vec<f64>,
    /// Factor on cosine and sine (yarn); 1 otherwise.
    pub scale: f64,
    /// Pairs are `(2i, 2i + 1)` if true, `(i, i + half)` if false.
    pub interleaved: bool,
    /// The frequencies of sequences beyond a length, if they are others.
    pub longer: Option<LongerSequences>,
}

/// The output projection, which the host applies itself so that logits need never exist as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Index of the weight `[vocab, hidden_size]`; the embedding's if they are tied.
    pub weight: u32,
    /// Index of a bias `[vocab]`.
    pub bias: Option<u32>,
    /// Each logit becomes `cap * tanh(logit / cap)`; above 0.
    pub soft_cap: Option<f64>,
    /// Whether each row of the weight is divided by its length.
    pub normalised: bool,
}

/// Parameters that other programs have as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// What it is called there.
    pub name: String,
    /// For each part the indices of the `[out, in]` of each group; together they are `[groups, out of all parts, in]`.
    pub parts: Vec<Vec<u32>>,
}

/// A whole model.
#[derive(Clone, Debug, PartialEq)]
pub struct Architecture {
    /// For messages.
    pub name: String,
    /// Width of the hidden states.
    pub hidden_size: u64,
    /// Number of token ids.
    pub vocab_size: u64,
    /// Number of stages. Stage 0 takes no input and embeds; the last gives what the head projects.
    pub stages: u32,
    /// All parameters; their order gives their indices.
    pub parameters: Vec<Parameter>,
    /// Names in the checkpoint that may be there and are not used, with `*` for any run of characters.
    pub ignored: Vec<String>,
    /// Rotary tables.
    pub rotary_tables: Vec<RotaryTable>,
    /// The output projection.
    pub head: Head,
    /// Number of layers with a key-value cache.
    pub cache_layers: u32,
    /// Key-value heads of each.
    pub kv_heads: u32,
    /// Components of each head.
    pub head_dim: u32,
    /// Components of each head's values in the cache, if they are not as many as those of its keys.
    pub cached_values: Option<u32>,
    /// Parameters that are never trained.
    pub untrained: Vec<u32>,
    /// Parameters whose products are never taken in fewer bits.
    pub full_precision: Vec<u32>,
    /// The most tokens of a sequence that the rotary tables are for, if there is a limit.
    pub longest_sequence: Option<u64>,
    /// What other programs have as one parameter.
    pub stacks: Vec<Stack>,
}

impl Architecture {
    /// The most tokens of a sequence that is rotated as short ones are, if longer ones are not.
    pub fn short_sequence(&self) -> Option<u64> {
        self.rotary_tables.iter().filter_map(|table| Some(table.longer.as_ref()?.tokens)).min()
    }

    /// Whether there is a matrix for each group in each part, all with as many inputs, and those of a part with as many outputs.
    fn holds(&self, stack: &Stack) -> bool {
        let shape = |index: &u32| match self.parameters.get(*index as usize)?.shape.as_slice() {
            &[outputs, inputs] => Some([outputs, inputs]),
            _ => None,
        };
        let first = |part: &Vec<u32>| part.first().and_then(shape);
        let Some((groups, [_, inputs])) =
            stack.parts.first().and_then(|part| Some((part.len(), first(part)?)))
        else {
            return false;
        };
        stack.parts.iter().all(|part| {
            let of_part = first(part).filter(|[_, others]| *others == inputs);
            part.len() == groups && of_part.is_some() && part.iter().all(|index| shape(index) == of_part)
        })
    }

    /// What is wrong with it, if its parts don't refer to each other as they should.
    pub(crate) fn mistake(&self) -> Option<String> {
        let count = self.parameters.len();
        let refers = |index: u32| (index as usize) < count;
        if self.stages == 0 {
            return Some("it has no stages".into());
        }
        if let Some(parameter) = self.parameters.iter().find(|parameter| parameter.stage >= self.stages) {
            let (name, stage, stages) = (&parameter.name, parameter.stage, self.stages);
            return Some(format!("`{name}` belongs to stage {stage}, and there are {stages}"));
        }
        let mut names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        names.sort_unstable();
        if let Some(name) = names.iter().zip(names.iter().skip(1)).find_map(|(a, b)| (a == b).then_some(a)) {
            return Some(format!("two parameters are called `{name}`"));
        }
        if let Some(index) =
            [Some(self.head.weight), self.head.bias].into_iter().flatten().find(|&i| !refers(i))
        {
            return Some(format!("its head uses parameter {index}, and there are {count}"));
        }
        if let Some(index) = self.untrained.iter().find(|&&i| !refers(i)) {
            return Some(format!("it does not train parameter {index}, and there are {count}"));
        }
        if let Some(index) = self.full_precision.iter().find(|&&i| !refers(i)) {
            return Some(format!("it names parameter {index} for full precision, and there are {count}"));
        }
        if let Some(components) = self.cached_values.filter(|&components| components > self.head_dim) {
            return Some(format!(
                "its cache has {components} components of values, and {} of keys",
                self.head_dim
            ));
        }
        for (index, table) in self.rotary_tables.iter().enumerate() {
            let pairs = table.inverse_frequencies.len();
            if let Some(longer) =
                table.longer.as_ref().filter(|longer| longer.inverse_frequencies.len() != pairs)
            {
                let other = longer.inverse_frequencies.len();
                return Some(format!(
                    "rotary table {index} has {pairs} pairs, and {other} of longer sequences"
                ));
            }
        }
        if let Some(stack) = self.stacks.iter().find(|stack| !self.holds(stack)) {
            return Some(format!("the parameters of the stack `{}` don't fit together", stack.name));
        }
        let mut members: Vec<u32> =
            self.stacks.iter().flat_map(|stack| stack.parts.iter().flatten().copied()).collect();
        members.sort_unstable();
        if let Some(index) =
            members.iter().zip(members.iter().skip(1)).find_map(|(a, b)| (a == b).then_some(a))
        {
            return Some(format!("parameter {index} is twice in stacks"));
        }
        let head = self.parameters.get(self.head.weight as usize);
        head.filter(|head| head.shape != [self.vocab_size, self.hidden_size])
            .map(|head| format!("its head `{}` is not [vocab_size, hidden_size]", head.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Architecture {
        let parameter =
            |name: &str, role, stage| Parameter { name: name.into(), shape: vec![4, 2], role, stage };
        Architecture {
            name: "tiny".into(),
            hidden_size: 2,
            vocab_size: 4,
            stages: 2,
            parameters: vec![parameter("embed", Role::Embedding, 0), parameter("layer", Role::Column, 1)],
            ignored: vec![],
            rotary_tables: vec![],
            head: Head { weight: 0, bias: None, soft_cap: None, normalised: false },
            cache_layers: 0,
            kv_heads: 1,
            head_dim: 2,
            cached_values: None,
            untrained: vec![],
            full_precision: vec![],
            longest_sequence: None,
            stacks: vec![],
        }
    }

    #[test]
    fn a_sound_architecture_has_no_mistake() {
        assert_eq!(tiny().mistake(), None);
    }

    #[test]
    fn references_that_lead_nowhere_are_mistakes() {
        let mut wrong = tiny();
        wrong.head.bias = Some(2);
        assert_eq!(wrong.mistake().unwrap(), "its head uses parameter 2, and there are 2");
        let mut wrong = tiny();
        wrong.stages = 1;
        assert_eq!(wrong.mistake().unwrap(), "`layer` belongs to stage 1, and there are 1");
        wrong.stages = 0;
        assert_eq!(wrong.mistake().unwrap(), "it has no stages");
        let mut wrong = tiny();
        wrong.parameters[1].name = "embed".into();
        assert_eq!(wrong.mistake().unwrap(), "two parameters are called `embed`");
        let mut wrong = tiny();
        wrong.cached_values = Some(3);
        assert_eq!(wrong.mistake().unwrap(), "its cache has 3 components of values, and 2 of keys");
        let mut wrong = tiny();
        let longer = LongerSequences { tokens: 1, inverse_frequencies: vec![1.0, 0.1], growth: 0.0 };
        wrong.rotary_tables = vec![RotaryTable {
            inverse_frequencies: vec![1.0],
            scale: 1.0,
            interleaved: false,
            longer: Some(longer),
        }];
        assert_eq!(wrong.mistake().unwrap(), "rotary table 0 has 1 pairs, and 2 of longer sequences");
    }

    #[test]
    fn stacks_hold_matrices_that_fit_together_and_each_once() {
        let stacked = |parts: &[&[u32]], shape: &[u64]| {
            let mut architecture = tiny();
            architecture.parameters[1].shape = shape.to_vec();
            let parts = parts.iter().map(|part| part.to_vec()).collect();
            architecture.stacks = vec![Stack { name: "a.stack".into(), parts }];
            architecture.mistake()
        };
        let misfit = Some("the parameters of the stack `a.stack` don't fit together".to_owned());
        assert_eq!(stacked(&[&[0, 1]], &[4, 2]), None);
        assert_eq!(stacked(&[&[0], &[1]], &[3, 2]), None);
        assert_eq!(stacked(&[&[0, 1]], &[3, 2]), misfit);
        assert_eq!(stacked(&[&[0], &[1]], &[4, 3]), misfit);
        assert_eq!(stacked(&[&[1]], &[4]), misfit);
        assert_eq!(stacked(&[&[0], &[0, 1]], &[4, 2]), misfit);
        assert_eq!(stacked(&[&[2]], &[4, 2]), misfit);
        assert_eq!(stacked(&[], &[4, 2]), misfit);
        assert_eq!(stacked(&[&[0, 0]], &[4, 2]).unwrap(), "parameter 0 is twice in stacks");
    }
}
