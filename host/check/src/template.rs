//! Chat templates.

use swift_runtime::{
    Message, PieceContent, RenderOptions, Rendered, RenderedTraining, Result, TemplatePlugin,
};

use crate::bench::Bench;

/// What may be trained on, and whether anything must be. A prompt weighs what it weighs in training, for that is where its
/// tokens are cut.
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
        let mut note = None;
        for (training, trains) in TRAININGS {
            match rendered(&mut first, name, training)? {
                Ok(rendered) if trains && !rendered.pieces.iter().any(|piece| piece.weight > 0.0) => {
                    // Templates for texts that are judged as a whole have no answers.
                    note.get_or_insert_with(|| format!("has nothing to train on for {training:?}"));
                }
                Ok(rendered) if !says_question(&rendered) => {
                    note.get_or_insert_with(|| "does not say the last question as it stands".to_owned());
                }
                Ok(_) => {}
                Err(reason) => {
                    note.get_or_insert_with(|| format!("leaves the conversation out: {reason}"));
                }
            }
            let again = rendered(&mut second, name, training)?;
            same &= format!("{again:?}") == format!("{:?}", rendered(&mut first, name, training)?);
        }
        if let Some(note) = note {
            let conversation = "it is a system text, two questions and two answers".to_owned();
            bench.noted(format!("`{name}` {note}"), conversation);
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

/// Whether the last question is in the text.
fn says_question(rendered: &Rendered) -> bool {
    let texts = rendered.pieces.iter().filter_map(|piece| match &piece.content {
        PieceContent::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<String>().contains("And 3 + 3?")
}
