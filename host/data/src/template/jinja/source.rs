//! What Jinja2 reads otherwise than minijinja, put right in a template's source.

/// A template in minijinja's words.
///
/// Line ends become line feeds. `{% generation %}` .. `{% endgeneration %}`, which mark answers for `transformers`, become
/// scopes: their contents are rendered all the same, and what is set there is not seen outside.
pub(super) fn as_minijinja_reads_it(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut parts = source.split("{%");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result.push_str("{%");
        let (tag, rest) = part.split_once("%}").unwrap_or((part, ""));
        let word = tag.trim_matches(|letter: char| letter.is_whitespace() || ['-', '+'].contains(&letter));
        match word {
            "generation" => result.push_str(&tag.replace("generation", "with")),
            "endgeneration" => result.push_str(&tag.replace("endgeneration", "endwith")),
            _ => result.push_str(tag),
        }
        if tag.len() < part.len() {
            result.push_str("%}");
            result.push_str(rest);
        }
    }
    result
}
