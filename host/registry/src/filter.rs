use crate::Model;

/// Which models are wanted. Letter case does not matter; what is none lets everything through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Words that must all occur in one of the model's ids, its family, its type or its tags.
    pub text: Vec<String>,
    /// The family.
    pub family: Option<String>,
    /// What ms-swift calls `model_type`.
    pub model_type: Option<String>,
    /// One of the architectures.
    pub architecture: Option<String>,
}

impl Filter {
    /// Whether a model is wanted.
    pub fn admits(&self, model: &Model) -> bool {
        let is = |wanted: &Option<String>, is: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(is))
        };
        let architecture = self.architecture.as_ref().is_none_or(|wanted| {
            model.architectures.iter().any(|architecture| architecture.eq_ignore_ascii_case(wanted))
        });
        let about = || {
            let tags = model.tags.iter().map(String::as_str);
            let named = model.ids().chain(tags).chain([model.family.as_str(), model.model_type.as_str()]);
            named.collect::<Vec<_>>().join(" ").to_lowercase()
        };
        is(&self.family, &model.family)
            && is(&self.model_type, &model.model_type)
            && architecture
            && (self.text.is_empty() || {
                let about = about();
                self.text.iter().all(|word| about.contains(&word.to_lowercase()))
            })
    }
}
