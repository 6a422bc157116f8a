//! All kinds but losses and callbacks, on the bare bindings of contract 0.1.0.

wit_bindgen::generate!({
    path: "../../../wit",
    inline: "package old:kinds; world kinds {
        import swift:plugin/log@0.1.0;
        import swift:plugin/tensor@0.1.0;
        import swift:plugin/batch-view@0.1.0;
        import swift:plugin/nn@0.1.0;
        export swift:plugin/meta@0.1.0;
        export swift:plugin/model@0.1.0;
        export swift:plugin/dataset@0.1.0;
        export swift:plugin/metric@0.1.0;
        export swift:plugin/schedule@0.1.0;
        export swift:plugin/optimizer@0.1.0;
        export swift:plugin/reward@0.1.0;
        export swift:plugin/template@0.1.0;
        export swift:plugin/loss-scale@0.1.0;
    }",
    generate_all,
});

use std::cell::Cell;

use exports::swift::plugin::{dataset, loss_scale, meta, metric, model, optimizer, reward, schedule, template};
use swift::plugin::conversation::Message;
use swift::plugin::tensor::{Error, Tensor};
use swift::plugin::{batch_view, log, nn};

struct Kinds;
export!(Kinds);

impl meta::Guest for Kinds {
    fn describe() -> meta::Info {
        let parameter = |name: &str, type_, default: &str| meta::Parameter {
            name: name.into(),
            summary: "A parameter".into(),
            type_,
            default_json: default.into(),
        };
        meta::Info {
            name: "kinds".into(),
            version: "1.0.0".into(),
            summary: "Is of every kind but two".into(),
            parameters: vec![
                parameter("truth", meta::ParameterType::Boolean, "true"),
                parameter("whole", meta::ParameterType::Integer, "3"),
                parameter("number", meta::ParameterType::Number, "0.5"),
                parameter("text", meta::ParameterType::Text, "\"word\""),
                parameter("names", meta::ParameterType::List, "[]"),
                parameter("unset", meta::ParameterType::Number, "null"),
            ],
        }
    }

    fn configure(parameters: String) -> Result<(), String> {
        log::write(log::Level::Info, &parameters);
        if parameters.contains("forbidden") { Err("this is forbidden".into()) } else { Ok(()) }
    }
}

impl model::Guest for Kinds {
    fn supports(architecture: String, model_type: String) -> bool {
        architecture == "TinyForCausalLM" && model_type == "tiny"
    }

    fn load(config: String) -> Result<model::Architecture, Error> {
        if config != "{}" {
            return Err(Error::Unsupported("a configuration that is not empty".into()));
        }
        let parameter = |name: &str, shape: [u64; 2], role, stage| model::Parameter {
            name: name.into(),
            shape: shape.into(),
            role,
            stage,
        };
        let mut parameters = vec![
            parameter("embed", [7, 4], model::Role::Embedding, 0),
            parameter("column", [4, 4], model::Role::Column, 1),
            parameter("row", [4, 4], model::Role::Row, 1),
            parameter("head", [7, 4], model::Role::Head, 1),
        ];
        for (name, role) in [("norm", model::Role::Norm), ("bias", model::Role::Bias)] {
            parameters.push(model::Parameter { name: name.into(), shape: vec![4], role, stage: 1 });
        }
        Ok(model::Architecture {
            name: "tiny".into(),
            hidden_size: 4,
            vocab_size: 7,
            stages: 2,
            parameters,
            ignored: vec!["rotary.*".into()],
            rotary_tables: vec![model::RotaryTable { inverse_frequencies: vec![1.0], scale: 1.0, interleaved: false }],
            head: model::Head { weight: 3, bias: None },
            cache_layers: 1,
            kv_heads: 2,
            head_dim: 2,
        })
    }

    fn forward(stage: u32, input: Option<&Tensor>, context: &nn::Context) -> Result<Tensor, Error> {
        let Some(x) = input else { return context.embedding(0) };
        if stage != 1 {
            return Err(Error::InvalidArgument("there is no such stage".into()));
        }
        let tokens = context.token_count() as i64;
        let normed = context.rms_norm(4, x, 1e-6)?;
        let heads = context.linear(1, Some(5), &normed)?.reshape(&[tokens, 2, 2])?;
        let turned = context.rope(0, &heads)?;
        let options = nn::AttentionOptions { scale: 0.5, window: Some(2), soft_cap: Some(30.0) };
        let mixed = context.attention(0, &turned, &turned, &heads, options)?.reshape(&[tokens, 4])?;
        let gated = context.swiglu(&mixed, &normed)?;
        x.add(&context.linear(2, None, &gated)?)
    }
}

impl dataset::Guest for Kinds {
    fn matches(columns: Vec<String>) -> u32 {
        if columns.iter().any(|column| column == "q") { 9 } else { 0 }
    }

    fn convert(rows: Vec<String>) -> Result<Vec<dataset::Outcome>, String> {
        let convert = |row: String| {
            if row == "null" {
                return dataset::Outcome::Skipped("the row is empty".into());
            }
            let said = |role: &str, content: &str, train, loss_scale| Message {
                role: role.into(),
                content: content.into(),
                train,
                loss_scale,
            };
            let question = said("user", &row, None, None);
            dataset::Outcome::Sample(dataset::Sample {
                messages: vec![question.clone(), said("assistant", "yes", Some(true), Some(0.5))],
                rejected: Some(vec![question, said("assistant", "no", None, None)]),
                positives: vec![vec![said("user", "near", None, None)]],
                negatives: vec![vec![said("user", "far", Some(false), None)]],
                columns: vec![("label".into(), "1".into())],
            })
        };
        if rows.is_empty() { Err("there are no rows".into()) } else { Ok(rows.into_iter().map(convert).collect()) }
    }
}

thread_local!(static SEEN: Cell<f64> = const { Cell::new(0.0) });

impl metric::Guest for Kinds {
    fn observe(batch: &batch_view::Batch, policy: &batch_view::Outputs) -> Result<(), Error> {
        let weighted = policy.token_logps()?.mul(&batch.loss_weights())?;
        let sum: f64 = weighted.to_list()?.iter().sum();
        SEEN.set(SEEN.get() + sum);
        Ok(())
    }

    fn finish() -> Result<Vec<(String, f64)>, Error> {
        Ok(vec![("sum".into(), SEEN.replace(0.0))])
    }
}

impl schedule::Guest for Kinds {
    fn factor(step: u64, max_steps: u64) -> Result<f64, String> {
        if max_steps == 0 {
            return Err("the run has no steps".into());
        }
        Ok(1.0 - step as f64 / max_steps as f64)
    }
}

impl optimizer::Guest for Kinds {
    fn slots(parameter: optimizer::Parameter) -> Vec<optimizer::Slot> {
        vec![optimizer::Slot { name: "momentum".into(), shape: parameter.shape }]
    }

    /// `m = m / 2 + g`, then `p - rate * (m + decay * p)`.
    fn update(
        parameter: optimizer::Parameter,
        value: &Tensor,
        gradient: &Tensor,
        slots: Vec<Tensor>,
        step: optimizer::Step,
    ) -> Result<optimizer::Updated, Error> {
        let Some(momentum) = slots.first().filter(|_| step.number > 0) else {
            return Err(Error::InvalidArgument("there is no momentum".into()));
        };
        let momentum = momentum.scale(0.5)?.add(gradient)?;
        let change = momentum.add(&value.scale(parameter.weight_decay)?)?;
        Ok(optimizer::Updated { value: value.sub(&change.scale(step.learning_rate)?)?, slots: vec![momentum] })
    }
}

impl reward::Guest for Kinds {
    /// The number of token ids and of bytes of the rest; none for answers that were cut off.
    fn score(completions: Vec<reward::Completion>) -> Result<Vec<Option<f64>>, String> {
        let size = |completion: &reward::Completion| {
            let columns: usize = completion.columns.iter().map(|(name, json)| name.len() + json.len()).sum();
            completion.messages_json.len() + completion.text.len() + completion.token_ids.len() + columns
        };
        Ok(completions.iter().map(|completion| completion.finished.then(|| size(completion) as f64)).collect())
    }
}

impl template::Guest for Kinds {
    fn names() -> Vec<String> {
        vec!["plain".into()]
    }

    fn agent_templates() -> Vec<String> {
        vec!["words".into()]
    }

    fn render(
        name: String,
        messages: Vec<Message>,
        tools: Option<String>,
        options: template::Options,
    ) -> Result<template::Rendered, String> {
        use template::Content;
        if name != "plain" {
            return Err("there is no such template".into());
        }
        let trained = !matches!(options.training, template::Training::None);
        let piece = |content, weight| template::Piece { content, weight, answer_to: None };
        let mut pieces = vec![piece(Content::TextBegin, 0.0), piece(Content::TokenId(7), 0.0)];
        pieces.push(piece(Content::TokenName("bos_token_id".into()), 0.0));
        for text in [options.system, tools, options.response_prefix, options.agent_template].into_iter().flatten() {
            pieces.push(piece(Content::Text(text), 0.0));
        }
        pieces.push(piece(Content::Text(options.date), 0.0));
        let flags = [options.enable_thinking, options.preserve_thinking, Some(options.add_non_thinking_prefix)];
        pieces.push(piece(Content::TokenId(flags.iter().filter(|flag| **flag == Some(true)).count() as u32), 0.0));
        let mut question = None;
        for message in messages {
            if message.role == "assistant" {
                let weight = if trained { message.loss_scale.unwrap_or(1.0) } else { 0.0 };
                pieces.push(template::Piece {
                    content: Content::Text(message.content),
                    weight,
                    answer_to: question.take(),
                });
            } else {
                question = Some(message.content.clone());
                pieces.push(piece(Content::Text(message.content), 0.0));
            }
        }
        pieces.push(piece(Content::TextEnd, 0.0));
        let suffix = options.special_tokens.into_iter().map(|(_, word)| Content::Text(word)).collect();
        Ok(template::Rendered { pieces, suffix })
    }

    fn read_calls(name: String, agent: Option<String>, answer: String) -> Result<template::Answer, String> {
        let Some((text, arguments)) = answer.split_once(" CALL ") else {
            return Ok(template::Answer { text: answer, calls: vec![] });
        };
        let call = template::Call { name: agent.unwrap_or(name), arguments: arguments.into() };
        Ok(template::Answer { text: text.into(), calls: vec![call] })
    }
}

impl loss_scale::Guest for Kinds {
    /// The first word weighs half as much, or twice if there is a question.
    fn weigh(answer: String, question: Option<String>) -> Result<Vec<(String, f64)>, String> {
        let end = answer.find(' ').unwrap_or(answer.len());
        let (first, rest) = answer.split_at(end);
        let factor = if question.is_some() { 2.0 } else { 0.5 };
        Ok(vec![(first.into(), factor), (rest.into(), 1.0)])
    }
}

