//! A tiny model, a tiny dataset, and a run of both.

use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};
use swift_data::{
    Adapter, AdapterFailure, BatchPlan, Dataset, DatasetSpec, Message, Outcome, PlanOptions, Sample,
    Template, TemplateOptions, Tokenizer,
};
use swift_model::{AdapterOptions, AddedLoss, Definition, Model, write_tensors};
use swift_runtime::{Architecture, Head, NnContext, Parameter, Role};
use swift_tensor::{DType, Device, Tensor, Value};
use swift_train::{
    Callback, Loss, Numbers, Observer, Output, RunLock, Summary, TrainerOptions, Training, When,
};

const VOCAB: usize = 1024;
const HIDDEN: usize = 16;

/// Embeds, adds a linear layer, and norms.
pub(crate) struct Tiny {
    /// Whether there is a parameter that nothing uses.
    pub(crate) idle_parameter: bool,
    /// The factor on a loss of its own: the mean square of its linear layer's weight.
    pub(crate) own_loss: Option<f64>,
    /// Linear layers besides the one.
    pub(crate) more_layers: usize,
}

impl Definition for Tiny {
    fn supports(&mut self, _architecture: &str, _model_type: &str) -> swift_model::Result<bool> {
        Ok(true)
    }

    fn load(&mut self, _config_json: &str) -> swift_model::Result<Architecture> {
        let parameter = |name: &str, shape: &[usize], role, stage| Parameter {
            name: name.into(),
            shape: shape.iter().map(|&size| size as u64).collect(),
            role,
            stage,
        };
        let mut parameters = vec![
            parameter("embed.weight", &[VOCAB, HIDDEN], Role::Embedding, 0),
            parameter("linear.weight", &[HIDDEN, HIDDEN], Role::Column, 1),
            parameter("norm.weight", &[HIDDEN], Role::Norm, 1),
        ];
        parameters.extend(
            (0..self.more_layers).map(|n| parameter(&more_name(n), &[HIDDEN, HIDDEN], Role::Column, 1)),
        );
        if self.idle_parameter {
            parameters.push(parameter("idle.weight", &[HIDDEN], Role::Norm, 1));
        }
        Ok(Architecture {
            name: "tiny".into(),
            hidden_size: HIDDEN as u64,
            vocab_size: VOCAB as u64,
            stages: 2,
            parameters,
            ignored: Vec::new(),
            rotary_tables: Vec::new(),
            head: Head { weight: 0, bias: None, soft_cap: None, normalised: false },
            cache_layers: 0,
            kv_heads: 1,
            head_dim: 1,
            cached_values: None,
            untrained: Vec::new(),
            full_precision: Vec::new(),
            longest_sequence: None,
            stacks: Vec::new(),
        })
    }

    fn forward(
        &mut self,
        stage: u32,
        input: Option<&Tensor>,
        context: Arc<dyn NnContext>,
    ) -> swift_model::Result<Tensor> {
        let Some(x) = input.filter(|_| stage == 1) else { return Ok(context.embedding(0)?) };
        if let Some(weight) = self.own_loss {
            let value = context.parameter(1)?.pow(2.0)?.mean(&[], false)?;
            context.add_loss(AddedLoss::new("own_loss".into(), value, weight)?)?;
        }
        let mut x = x.add(&context.linear(1, None, x)?)?;
        for index in (3..).take(self.more_layers) {
            x = x.add(&context.linear(index, None, &x)?)?;
        }
        Ok(context.rms_norm(2, &x, 1e-6)?)
    }
}

fn more_name(number: usize) -> String {
    format!("more.{number}.weight")
}

/// Numbers that look random and are always the same.
fn elements(count: usize, scale: f32) -> Vec<f32> {
    let hash = |place: usize| (place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    (0..count).map(|place| (hash(place) as f32 / (1u32 << 23) as f32 - 1.0) * scale).collect()
}

/// Writes the model's folder.
fn write_model(folder: &Path, idle_parameter: bool, more_layers: usize) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), r#"{"architectures": ["Tiny"], "torch_dtype": "float32"}"#)
        .unwrap();
    let tensor = |shape: &[usize], scale| {
        Value::from_vec(elements(shape.iter().product(), scale), shape, &Device::Cpu).unwrap()
    };
    let mut tensors = BTreeMap::from([
        ("embed.weight".to_owned(), tensor(&[VOCAB, HIDDEN], 0.5)),
        ("linear.weight".to_owned(), tensor(&[HIDDEN, HIDDEN], 0.3)),
        ("norm.weight".to_owned(), tensor(&[HIDDEN], 1.0)),
    ]);
    tensors.extend((0..more_layers).map(|n| (more_name(n), tensor(&[HIDDEN, HIDDEN], 0.1))));
    if idle_parameter {
        tensors.insert("idle.weight".to_owned(), tensor(&[HIDDEN], 1.0));
    }
    write_tensors(&folder.join("model.safetensors"), &tensors).unwrap();
}

/// Rows with a `query` and a `response`.
struct Rows;

impl Adapter for Rows {
    fn name(&self) -> &str {
        "rows"
    }

    fn digest(&self) -> &str {
        "sha256:0"
    }

    fn matches(&mut self, _columns: &[String]) -> Result<u32, AdapterFailure> {
        Ok(1)
    }

    fn convert(&mut self, rows: Vec<String>) -> Result<Vec<Outcome>, AdapterFailure> {
        let sample = |row: String| {
            let row: Json = serde_json::from_str(&row).unwrap();
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let messages =
                vec![Message::new("user", text("query")), Message::new("assistant", text("response"))];
            Outcome::Sample(Sample::new(messages))
        };
        Ok(rows.into_iter().map(sample).collect())
    }
}

/// Sums: `1 + 2` and `3`, in different lengths.
fn dataset(folder: &Path, name: &str, rows: std::ops::Range<u32>) -> Dataset {
    let path = folder.join(name);
    let row = |number: u32| {
        let response = format!("{} {}", number * 3, "so it is ".repeat(number as usize % 4));
        json!({ "query": format!("{number} + {}", number * 2), "response": response }).to_string()
    };
    fs::write(&path, rows.map(row).collect::<Vec<_>>().join("\n")).unwrap();
    let tokenizer = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tokenizer"));
    let tokenizer = Tokenizer::load(tokenizer).unwrap();
    let mut template = Template::of_model(&tokenizer, TemplateOptions::default()).unwrap();
    let mut adapters: Vec<Box<dyn Adapter>> = vec![Box::new(Rows)];
    let spec = DatasetSpec { path, rows: None };
    Dataset::load(&[spec], &mut adapters, &mut template, &Default::default()).unwrap()
}

/// A run to be: what tests change in it are fields.
pub(crate) struct Setup {
    _folder: tempfile::TempDir,
    /// For everything that the test writes.
    pub(crate) root: PathBuf,
    /// The run directory.
    pub(crate) run: PathBuf,
    pub(crate) options: TrainerOptions,
    pub(crate) batch_size: usize,
    pub(crate) accumulation: usize,
    pub(crate) validate: bool,
    /// An adapter with dropout; all parameters if none.
    pub(crate) adapter_dropout: Option<f64>,
    pub(crate) dtype: DType,
    pub(crate) idle_parameter: bool,
    /// The factor on a loss that the model adds.
    pub(crate) own_loss: Option<f64>,
    pub(crate) more_layers: usize,
    /// Whether the model before training is also a teacher.
    pub(crate) teacher: bool,
    pub(crate) lock: RunLock,
    /// The step after which the run is interrupted.
    pub(crate) interrupt_after: Option<u64>,
}

/// So many, not none.
pub(crate) fn steps(count: u64) -> NonZeroU64 {
    NonZeroU64::new(count).unwrap()
}

impl Setup {
    /// Six steps of two rows in a full training, everything logged, nothing saved.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let options = TrainerOptions {
            max_steps: Some(steps(6)),
            learning_rate: 1e-2,
            logging_steps: steps(1),
            save: When::Never,
            evaluate: When::Never,
            ..TrainerOptions::default()
        };
        Self {
            _folder: folder,
            run: root.join("run"),
            root,
            options,
            batch_size: 2,
            accumulation: 1,
            validate: false,
            adapter_dropout: None,
            dtype: DType::F32,
            idle_parameter: false,
            own_loss: None,
            more_layers: 0,
            teacher: false,
            lock: RunLock { settings: [("seed".into(), json!(42))].into(), ..RunLock::default() },
            interrupt_after: None,
        }
    }

    fn frozen_model(&self) -> Model {
        let folder = self.root.join("model");
        write_model(&folder, self.idle_parameter, self.more_layers);
        let options = swift_model::LoadOptions { dtype: self.dtype, device: Device::Cpu, quantisation: None };
        let Self { idle_parameter, own_loss, more_layers, .. } = *self;
        Model::load(&folder, Tiny { idle_parameter, own_loss, more_layers }, &options).unwrap()
    }

    pub(crate) fn model(&self) -> Model {
        let mut model = self.frozen_model();
        match self.adapter_dropout {
            None => model.train_all().unwrap(),
            Some(dropout) => {
                let target_modules = vec!["all-linear".to_owned()];
                let options = AdapterOptions {
                    rank: 2,
                    alpha: 4.0,
                    dropout,
                    rslora: false,
                    dora: false,
                    target_modules,
                    target_parameters: vec![],
                    seed: 7,
                };
                model.attach_adapter(&options).unwrap();
            }
        }
        model
    }

    pub(crate) fn training(
        &self,
        loss: impl Loss + 'static,
        callbacks: Vec<Box<dyn Callback>>,
        resume_from: Option<&Path>,
    ) -> Training {
        let dataset = dataset(&self.root, "train.jsonl", 1..8);
        let plan = PlanOptions {
            batch_size: self.batch_size,
            gradient_accumulation_steps: self.accumulation,
            shuffle_dataset: false,
            shuffle: true,
            seed: 42,
            packing: None,
        };
        Training {
            model: self.model(),
            reference: None,
            teacher: self.teacher.then(|| self.frozen_model()),
            loss: Box::new(loss),
            callbacks,
            metrics: Vec::new(),
            schedule: None,
            optimizer: None,
            rollouts: None,
            plan: BatchPlan::new(&dataset, plan).unwrap(),
            dataset,
            validation: self.validate.then(|| dataset_of_validation(&self.root)),
            options: self.options.clone(),
            output: Output {
                folder: self.run.clone(),
                arguments: json!({ "seed": 42 }).as_object().unwrap().clone(),
                lock: self.lock.clone(),
                companions: Vec::new(),
            },
            resume_from: resume_from.map(Path::to_owned),
            interrupt: Arc::new(AtomicBool::new(false)),
        }
    }

    /// Runs with the usual loss, and tells what the observer heard.
    pub(crate) fn run_with(
        &self,
        loss: impl Loss + 'static,
        callbacks: Vec<Box<dyn Callback>>,
        resume_from: Option<&Path>,
    ) -> (swift_train::Result<Summary>, Vec<String>) {
        let training = self.training(loss, callbacks, resume_from);
        let mut observer = Ears {
            heard: Vec::new(),
            interrupt_after: self.interrupt_after,
            interrupt: training.interrupt.clone(),
        };
        (training.run(&mut observer), observer.heard)
    }

    /// A run with the usual loss and no callbacks.
    pub(crate) fn run(&self) -> Summary {
        self.run_with(crate::losses::NegativeLogLikelihood, Vec::new(), None).0.unwrap()
    }

    /// The lines of `logging.jsonl`.
    pub(crate) fn log(&self) -> Vec<Numbers> {
        let text = fs::read_to_string(self.run.join("logging.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn dataset_of_validation(root: &Path) -> Dataset {
    dataset(root, "validation.jsonl", 20..25)
}

pub(crate) fn one_or_more(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Remembers everything, and raises the flag when it is time.
struct Ears {
    heard: Vec<String>,
    interrupt_after: Option<u64>,
    interrupt: Arc<AtomicBool>,
}

impl Observer for Ears {
    fn step_done(&mut self, step: u64, max_steps: u64) {
        self.heard.push(format!("step {step}/{max_steps}"));
        if self.interrupt_after == Some(step) {
            self.interrupt.store(true, Ordering::SeqCst);
        }
    }

    fn saved(&mut self, checkpoint: &Path) {
        self.heard.push(format!("saved {}", checkpoint.file_name().unwrap().to_string_lossy()));
    }

    fn message(&mut self, text: &str) {
        self.heard.push(text.to_owned());
    }
}
