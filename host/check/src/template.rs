//! Chat templates.

use swift_runtime::{
    Message, PieceContent, RenderOptions, Rendered, RenderedTraining, Result, TemplatePlugin,
};

use crate::bench::Bench;

/// What may be trained on, and whether anything is.
const TRAININGS: [(RenderedTraining, bool); 4] = [
    (RenderedTraining::None, false),
    (RenderedTraining::Answers, true),
    (RenderedTraining::LastRound, true),
    (RenderedTraining::Everything, true),
];

pub(crate) fn check(bench: &mut Bench) -> Result<()> {
    let (mut first, mut second) =
        (bench.plugin.template(&bench.options.limits)?, bench.plugin.template(&bench.options.limits)?);
    let names = first.names()?;
    bench.expect(
        !names.is_empty(),
        &format!("It has the templates `{}`", names.join("`, `")),
        "It has no template",
        "`names` gives the names that `--template` takes",
    );
    let mut same = true;
    for name in &names {
        for (training, trains) in TRAININGS {
            match rendered(&mut first, name, training)? {
                Ok(rendered) => mistake(&rendered, trains).into_iter().for_each(|mistake| {
                    bench.failed(format!("`{name}`, training {training:?}: {mistake}"), None);
                }),
                Err(reason) => bench.noted(
                    format!("`{name}` leaves the conversation out: {reason}"),
                    "it is a system text, two questions and two answers".to_owned(),
                ),
            }
            let again = rendered(&mut second, name, training)?;
            same &= format!("{again:?}") == format!("{:?}", rendered(&mut first, name, training)?);
        }
    }
    bench.expect_same(same);
    let Some(name) = names.first() else { return Ok(()) };
    bench.measure(|| rendered(&mut first, name, RenderedTraining::Answers).map(drop))
}

fn conversation() -> Vec<Message> {
    let turns = [
        ("system", "Be brief."),
        ("user", "What is 2 + 2?"),
        ("assistant", "It is 4."),
        ("user", "And 3 + 3?"),
        ("assistant", "It is 6."),
    ];
    let message = |(role, content): (&str, &str)| Message {
        role: role.into(),
        content: content.into(),
        train: None,
        loss_scale: None,
    };
    turns.into_iter().map(message).collect()
}

fn rendered(
    template: &mut TemplatePlugin,
    name: &str,
    training: RenderedTraining,
) -> Result<std::result::Result<Rendered, String>> {
    let options = RenderOptions {
        training,
        system: None,
        enable_thinking: None,
        preserve_thinking: None,
        add_non_thinking_prefix: false,
        response_prefix: None,
        agent_template: None,
        date: "2025-03-14".into(),
        special_tokens: vec![
            ("bos_token".into(), "<s>".into()),
            ("eos_token".into(), "</s>".into()),
            ("pad_token".into(), "<pad>".into()),
        ],
    };
    let mut messages = conversation();
    if matches!(training, RenderedTraining::None) {
        // A prompt ends with a question.
        messages.pop();
    }
    template.render(name, &messages, None, &options)
}

/// What is wrong with a rendered conversation.
fn mistake(rendered: &Rendered, trains: bool) -> Option<String> {
    let text: String = rendered
        .pieces
        .iter()
        .filter_map(|piece| match &piece.content {
            PieceContent::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    if !text.contains("And 3 + 3?") {
        return Some("the last question is not in the text".into());
    }
    let weighs = rendered.pieces.iter().any(|piece| piece.weight > 0.0);
    match (trains, weighs) {
        (true, false) => Some("nothing is trained on".into()),
        (false, true) => Some("a prompt is trained on".into()),
        _ => None,
    }
}
