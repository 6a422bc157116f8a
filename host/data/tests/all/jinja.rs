use std::fs;

use swift_data::{Error, IGNORED, Message, Template, TemplateOptions, Tokenizer, TrainedParts};

use crate::support::{Encode as _, golden};

/// As Qwen3's: thoughts are kept after the last question only.
const THINKING: &str = r"{%- set ns = namespace(last=-1) %}
{%- for message in messages[::-1] %}
    {%- if ns.last < 0 and message.role == 'user' %}{%- set ns.last = messages|length - 1 - loop.index0 %}{%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\n<think>\n' + reasoning.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}";

/// As Llama's: trims, begins with a special token, and ends turns without a line break.
const TRIMMING: &str = r"{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] not in ['user', 'assistant'] %}{{ raise_exception('Only user and assistant speak') }}{% endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}";

fn jinja(source: &str, options: TemplateOptions) -> Result<Template, Error> {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(golden("tokenizer").join(name), folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("chat_template.jinja"), source).unwrap();
    Template::of_model(&Tokenizer::load(folder.path())?, options)
}

fn conversation(turns: &[&str]) -> Vec<Message> {
    turns
        .iter()
        .zip(["user", "assistant"].iter().cycle())
        .map(|(text, role)| Message::new(*role, *text))
        .collect()
}

/// The text, and each part of it that is trained on.
fn trained(template: &mut Template, messages: &[Message], scope: TrainedParts) -> (String, Vec<String>) {
    let encoded = template.encode(messages, scope).unwrap();
    let decode = |ids: &[u32]| template.tokenizer().decode(ids).unwrap();
    let labels: Vec<_> = encoded.input_ids.iter().copied().zip(encoded.labels()).collect();
    let parts = labels
        .chunk_by(|left, right| (left.1 == IGNORED) == (right.1 == IGNORED))
        .filter(|run| run[0].1 != IGNORED)
        .map(|run| decode(&run.iter().map(|(id, _)| *id).collect::<Vec<_>>()))
        .collect();
    (decode(&encoded.input_ids), parts)
}

#[test]
fn answers_are_found_in_a_template_that_renders_earlier_ones_differently() {
    let mut template = jinja(THINKING, TemplateOptions::default()).unwrap();
    let messages = conversation(&[
        "1 + 1",
        "<think>\none and one\n</think>\n\n2",
        "2 + 2",
        "<think>\ntwo and two\n</think>\n\n4",
        "3 + 3",
        "6",
    ]);
    let (text, parts) = trained(&mut template, &messages, TrainedParts::Answers);
    assert_eq!(
        text,
        "<|im_start|>user\n1 + 1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n\
         <|im_start|>user\n2 + 2<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n\
         <|im_start|>user\n3 + 3<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n6<|im_end|>\n"
    );
    assert_eq!(parts, ["2<|im_end|>\n", "4<|im_end|>\n", "<think>\n\n</think>\n\n6<|im_end|>\n"]);
    assert_eq!(trained(&mut template, &messages, TrainedParts::LastRound).1, parts[2..]);
}

#[test]
fn a_prompt_that_answers_the_question_of_thinking_is_not_trained_on() {
    let options = TemplateOptions { enable_thinking: Some(false), ..TemplateOptions::default() };
    let mut template = jinja(THINKING, options).unwrap();
    let (_, parts) = trained(&mut template, &conversation(&["3 + 3", "6"]), TrainedParts::Answers);
    assert_eq!(parts, ["6<|im_end|>\n"]);
    let prompt = template.encode_prompt(&conversation(&["3 + 3"])).unwrap();
    let prompt = template.tokenizer().decode(&prompt).unwrap();
    assert!(prompt.ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"), "{prompt}");
}

#[test]
fn answers_are_found_in_a_template_that_trims_them() {
    let mut template = jinja(TRIMMING, TemplateOptions::default()).unwrap();
    let messages = conversation(&[" hi ", "one \n", "and", " two"]);
    let (text, parts) = trained(&mut template, &messages, TrainedParts::Answers);
    assert!(text.starts_with("<s><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"), "{text}");
    assert_eq!(parts, ["one<|eot_id|>", "two<|eot_id|>"]);
}

#[test]
fn white_space_at_the_end_of_an_answer_does_not_hide_where_it_ends() {
    let tokenizer = Tokenizer::load(&golden("tokenizer")).unwrap();
    let mut template = Template::of_model(&tokenizer, TemplateOptions::default()).unwrap();
    let (_, parts) = trained(
        &mut template,
        &conversation(&["hi", "one\n", "and", "two", "or", "three \n"]),
        TrainedParts::Answers,
    );
    assert_eq!(parts, ["one\n<|im_end|>\n", "two<|im_end|>\n", "three \n<|im_end|>\n"]);
}

#[test]
fn what_ends_the_whole_text_is_trained_on_with_the_last_answer_only() {
    let source = "{% for message in messages %}{{ '<|im_start|>' + message.role + ' ' + message.content + '<|eot_id|>' }}\
                  {% endfor %}{{ '<|im_start|>assistant ' if add_generation_prompt else eos_token }}";
    let mut template = jinja(source, TemplateOptions::default()).unwrap();
    let (text, parts) =
        trained(&mut template, &conversation(&["hi", "one", "and", "two"]), TrainedParts::Answers);
    assert!(text.ends_with("<|im_start|>assistant two<|eot_id|><|im_end|>"), "{text}");
    assert_eq!(parts, ["one<|eot_id|>", "two<|eot_id|><|im_end|>"]);
}

#[test]
fn marks_of_answers_in_the_template_change_nothing() {
    let marked = TRIMMING
        .replace(
            "{{- '<|start_header_id|>' + message",
            "{%- generation -%}{{- '<|start_header_id|>' + message",
        )
        .replace("+ '<|eot_id|>' }}", "+ '<|eot_id|>' }}{%- endgeneration %}");
    let [plain, marked] =
        [TRIMMING, &marked].map(|source| jinja(source, TemplateOptions::default()).unwrap());
    let messages = conversation(&["hi", "one", "and", "two"]);
    let [plain, marked] =
        [plain, marked].map(|mut template| trained(&mut template, &messages, TrainedParts::Answers));
    assert_eq!(plain, marked);
}

#[test]
fn messages_say_which_answers_are_trained_on() {
    let mut template = jinja(TRIMMING, TemplateOptions::default()).unwrap();
    let mut messages = conversation(&["hi", "one", "and", "two"]);
    messages[1].train = Some(false);
    assert_eq!(trained(&mut template, &messages, TrainedParts::Answers).1, ["two<|eot_id|>"]);
    messages.push(Message { train: Some(false), ..Message::new("assistant", "three") });
    let unfit = template.encode(&messages, TrainedParts::Answers).unwrap_err();
    assert_eq!(unfit.reason, "answers in a row differ in whether they are trained on");
}

#[test]
fn what_a_template_refuses_is_told_in_its_words() {
    let mut template = jinja(TRIMMING, TemplateOptions::default()).unwrap();
    let mut messages = conversation(&["hi", "one"]);
    messages.insert(0, Message::new("system", "Be brief."));
    let unfit = template.encode(&messages, TrainedParts::Answers).unwrap_err();
    assert_eq!(
        unfit.to_string(),
        "the chat template refuses the conversation: Only user and assistant speak"
    );
}

#[test]
fn a_template_that_drops_or_reorders_answers_is_not_trained_on_by_guess() {
    let drops = "{% for message in messages[-2:] %}{{ message.role }}: {{ message.content }}\n{% endfor %}";
    let mut template = jinja(drops, TemplateOptions::default()).unwrap();
    let unfit = template.encode(&conversation(&["a", "b", "c", "d"]), TrainedParts::Answers).unwrap_err();
    assert_eq!(unfit.reason, "the chat template changes the answers, so that they cannot be found");
    let counts = "{{ messages|length }}{% for message in messages %}{{ message.content }}{% endfor %}";
    let mut template = jinja(counts, TemplateOptions::default()).unwrap();
    let unfit = template.encode(&conversation(&["a", "b"]), TrainedParts::Answers).unwrap_err();
    assert_eq!(unfit.reason, "the chat template renders prompts and answers differently");
}

#[test]
fn the_date_is_the_callers_and_part_of_the_digest_where_it_is_asked_for() {
    let dated =
        "{{ strftime_now('%d %b %Y') }}|{% for message in messages %}{{ message.content }}|{% endfor %}";
    let at = |now: &str| TemplateOptions { now: Some(now.parse().unwrap()), ..TemplateOptions::default() };
    let mut template = jinja(dated, at("2025-03-14T12:00:00")).unwrap();
    let (text, parts) = trained(&mut template, &conversation(&["a", "b"]), TrainedParts::Answers);
    assert_eq!((text.as_str(), parts), ("14 Mar 2025|a|b|", vec!["b|".to_owned()]));
    assert_ne!(template.digest(), jinja(dated, at("2025-03-15T12:00:00")).unwrap().digest());
    let digest = |now| jinja(TRIMMING, at(now)).unwrap().digest();
    assert_eq!(digest("2025-03-14T12:00:00"), digest("2025-03-15T12:00:00"));
    let unfit = jinja(dated, TemplateOptions::default())
        .unwrap()
        .encode(&conversation(&["a", "b"]), TrainedParts::Everything);
    assert_eq!(unfit.unwrap_err().detail, "no date is given");
}

#[test]
fn values_are_written_as_json_as_python_writes_it() {
    let source = r#"{{ {'b': [1, 'é<'], 'a': none} | tojson }}|{{ ['x'] | tojson(indent=2) }}{% for message in messages %}{% endfor %}"#;
    let mut template = jinja(source, TemplateOptions::default()).unwrap();
    let ids = template.encode_prompt(&conversation(&["a"])).unwrap();
    let text = template.tokenizer().decode(&ids).unwrap();
    assert!(text.contains(r#""b": [1, "é<"]"#) && text.contains(r#""a": null"#), "{text}");
    assert!(text.ends_with("|[\n  \"x\"\n]"), "{text}");
}

#[test]
fn a_template_that_does_not_parse_is_an_error_when_it_is_read() {
    let error = jinja("{% if %}", TemplateOptions::default()).unwrap_err();
    assert!(error.to_string().starts_with("The model's chat template is not valid: "), "{error}");
}
