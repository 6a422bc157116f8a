//! Describe the form that your conversations have.

use swift_plugin::prelude::*;

parameters! {
    /// Each turn on a line of its own: `user: 1 + 1?`.
    pub struct PluginName {}
}

impl Template for PluginName {
    /// What the user may say for `--template`.
    fn names(&self) -> Vec<String> {
        vec!["plugin-name".to_owned()]
    }

    fn render(
        &self,
        _name: &str,
        messages: &[Message],
        tools: Option<&Value>,
        options: &RenderOptions,
    ) -> Result<Rendered> {
        if tools.is_some() {
            bail!("the template has no form for tools");
        }
        // The tokens that are no answers are trained on only where everything is.
        let other = if options.training == Training::Everything { 1.0 } else { 0.0 };
        let part = |text: String| Piece { weight: other, ..Piece::text(text) };
        let has_system = messages.first().is_some_and(|message| message.role == "system");
        let system = options.system.as_ref().filter(|_| !has_system);
        let mut pieces: Vec<_> = system.map(|text| part(format!("system: {text}\n"))).into_iter().collect();
        let mut question = "";
        for (i, message) in messages.iter().enumerate() {
            if message.role != "assistant" {
                question = &message.content;
                pieces.push(part(format!("{}: {}\n", message.role, message.content)));
                continue;
            }
            let is_last = i + 1 == messages.len();
            let trains = message.train.unwrap_or(options.training != Training::LastRound || is_last);
            let weight = if trains { message.loss_scale.unwrap_or(1.0) } else { 0.0 };
            let answer = Piece::text(format!("{}\n", message.content));
            pieces.push(part("assistant: ".to_owned()));
            pieces.push(Piece { weight, answer_to: Some(question.to_owned()), ..answer });
        }
        if messages.last().is_some_and(|message| message.role != "assistant") {
            let begun = options.response_prefix.as_deref().unwrap_or_default();
            pieces.push(part(format!("assistant: {begun}")));
        }
        Ok(Rendered { pieces, suffix: vec![Content::Text("\n".to_owned())] })
    }
}

export!(PluginName: Template);

#[cfg(test)]
mod tests {
    use super::*;

    /// The text, and the answers that are trained on.
    fn render(messages: &[Message], training: Training) -> (String, Vec<String>) {
        let options = RenderOptions { training, ..RenderOptions::default() };
        let rendered = PluginName {}.render("plugin-name", messages, None, &options).unwrap();
        let mut texts = (String::new(), Vec::new());
        for piece in rendered.pieces {
            let Content::Text(text) = piece.content else { panic!("only texts are expected") };
            texts.0.push_str(&text);
            if piece.weight > 0.0 {
                texts.1.push(text);
            }
        }
        texts
    }

    #[test]
    fn answers_are_trained_on() {
        let turns = [("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?"), ("assistant", "4")];
        let turns = turns.map(|(role, content)| Message::new(role, content));
        let text = "user: 1 + 1?\nassistant: 2\nuser: 2 + 2?\nassistant: 4\n";
        assert_eq!(render(&turns, Training::Answers), (text.into(), vec!["2\n".into(), "4\n".into()]));
        assert_eq!(render(&turns, Training::LastRound).1, ["4\n"]);
        assert_eq!(render(&turns, Training::Everything).1.concat(), text);
        assert_eq!(
            render(&turns[..3], Training::None).0,
            "user: 1 + 1?\nassistant: 2\nuser: 2 + 2?\nassistant: "
        );
    }

    #[test]
    fn a_conversation_with_tools_is_left_out() {
        let tools = Value::from("[]");
        let error = PluginName {}.render("plugin-name", &[], Some(&tools), &RenderOptions::default()).err();
        assert_eq!(error.unwrap().message(), "the template has no form for tools");
    }
}
