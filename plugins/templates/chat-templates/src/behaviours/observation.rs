//! GLM-4: the new line after the name of the model's role belongs to what it says, and is not there before a call, whose
//! end is where the results begin, nor at the end of a prompt.

use swift_plugin::{Content, RenderOptions, Rendered};

const ROLE: &str = "<|assistant|>\n";
const RESULTS: &str = "<|observation|>";

pub(super) fn finish(rendered: &mut Rendered, _options: &RenderOptions) {
    let text = |content: &Content| match content {
        Content::Text(text) => text.clone(),
        _ => String::new(),
    };
    rendered.pieces.retain(|piece| !matches!(&piece.content, Content::Text(text) if text.is_empty()));
    let mut next = None;
    for piece in rendered.pieces.iter_mut().rev() {
        let following = next.replace(text(&piece.content));
        let Content::Text(text) = &mut piece.content else { continue };
        let drops = match (piece.answer_to.is_some(), following) {
            (true, _) => false,
            (false, None) => text.ends_with('\n'),
            (false, Some(following)) => text.ends_with(ROLE) && following.contains(RESULTS),
        };
        if drops {
            text.pop();
        }
    }
}
