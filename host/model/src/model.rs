use std::path::Path;
use std::sync::{Arc, Mutex};

use swift_runtime::{AddedLoss, Architecture};
use swift_tensor::fused::{Weight, require_float8};
use swift_tensor::{DType, Device, ParameterId, Tensor};

use crate::adapter::{Adapter, AdapterOptions, adapter_dtype, linear_sizes};
use crate::batch::{Batch, Tokens};
use crate::context::Aside;
use crate::network::{Network, validate};
use crate::parameter::TrainableParameter;
use crate::score_head::{Place, ScoreHead};
use crate::segment::Segment;
use crate::weights::{Expected, read_weights, weight_files};
use crate::{Definition, Error, ModelConfig, Quantisation, Result};

/// A definition that stages share, also when they are computed again.
pub(crate) type SharedDefinition = Arc<Mutex<Box<dyn Definition>>>;

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What the weights are converted to and everything is computed in: `float32`, `bfloat16`, `float16` or `float64`.
    pub dtype: DType,
    /// Where they lie.
    pub device: Device,
    /// What the weights of linear layers become, all but the output projection's; they are then frozen.
    pub quantisation: Option<Quantisation>,
}

/// How a batch is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardOptions {
    /// Whether the adapter takes part. Without it the model is the one that the adapter started from.
    pub adapters: bool,
    /// The seed of the adapter's dropout; none turns dropout off.
    pub dropout_seed: Option<u64>,
    /// Whether stages are computed again on the way back instead of keeping their intermediate results.
    pub recompute: bool,
}

/// A model: a definition, weights, and maybe an adapter.
///
/// Loading leaves everything frozen. [`Self::attach_adapter`], [`Self::load_adapter`] or [`Self::train_all`] then say what
/// is trained.
pub struct Model {
    config: ModelConfig,
    definition: SharedDefinition,
    network: Arc<Network>,
    device: Device,
}

impl Model {
    /// Loads the Hugging Face folder `folder`, wired as `definition` says.
    ///
    /// # Errors
    /// If a file is missing or broken, the definition refuses the configuration, or the weights don't fit it; a tensor
    /// that is missing, unknown or wrongly shaped is named.
    pub fn load(folder: &Path, definition: impl Definition + 'static, options: &LoadOptions) -> Result<Self> {
        Self::load_as(ModelConfig::read(folder)?, definition, options)
    }

    /// As [`Self::load`], with settings in the place of those of the folder's `config.json`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_as(
        config: ModelConfig,
        definition: impl Definition + 'static,
        options: &LoadOptions,
    ) -> Result<Self> {
        let folder = config.folder();
        let mut definition: Box<dyn Definition> = Box::new(definition);
        let architecture = definition.load(config.text())?;
        validate(&architecture)?;
        let LoadOptions { dtype, device, quantisation } = options.clone();
        let expected = architecture
            .parameters
            .iter()
            .map(|parameter| {
                let shape = parameter.shape.iter().map(|&size| size as usize).collect();
                let expected = Expected { name: parameter.name.clone(), shape };
                (expected, quantisation.filter(|_| linear_sizes(parameter).is_some()))
            })
            .collect();
        // Whoever wants the head asks for it.
        let ignored: Vec<String> =
            architecture.ignored.iter().cloned().chain([Place::Model.name()]).collect();
        let weights =
            read_weights(folder, &weight_files(folder)?, expected, &ignored, dtype, &device)?.into();
        let network = Network {
            architecture: Arc::new(architecture),
            weights,
            trainable: false,
            adapter: None,
            score_head: None,
            dtype,
            float8: false,
            normalised_head: Arc::default(),
        };
        Ok(Self { config, definition: Arc::new(Mutex::new(definition)), network: Arc::new(network), device })
    }

    /// The same model once more: both have the same parameters in memory, and what is changed in place changes for both.
    #[must_use]
    pub fn share(&self) -> Self {
        let Self { config, definition, network, device } = self;
        Self {
            config: config.clone(),
            definition: definition.clone(),
            network: network.clone(),
            device: device.clone(),
        }
    }

    /// The model's `config.json`.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How the model is wired.
    pub fn architecture(&self) -> &Architecture {
        &self.network.architecture
    }

    /// The element type that everything is computed in.
    pub fn dtype(&self) -> DType {
        self.network.dtype
    }

    /// The memory that the weights take, in bytes, without adapters.
    pub fn weight_bytes(&self) -> usize {
        self.network.weights.iter().map(Weight::bytes).sum()
    }

    /// Adds a new adapter, to be trained. It changes nothing yet.
    ///
    /// # Errors
    /// If there is an adapter, everything is trained, or an option or target is not possible.
    pub fn attach_adapter(&mut self, options: &AdapterOptions) -> Result<()> {
        self.must_be_plain()?;
        let Network { architecture, weights, dtype, .. } = &*self.network;
        let adapter = Adapter::new(options, architecture, weights, *dtype)?;
        self.set_adapter(adapter);
        Ok(())
    }

    /// Adds the adapter that PEFT or this program wrote into `folder`, to be trained further or just used.
    ///
    /// # Errors
    /// If there is an adapter, everything is trained, or the files are broken, of an unsupported kind, or don't fit.
    pub fn load_adapter(&mut self, folder: &Path, trainable: bool) -> Result<()> {
        self.must_be_plain()?;
        let Network { architecture, dtype, .. } = &*self.network;
        let adapter = Adapter::read(folder, trainable, architecture, adapter_dtype(*dtype), &self.device)?;
        self.set_adapter(adapter);
        Ok(())
    }

    /// Makes all parameters trainable.
    ///
    /// # Errors
    /// If there is an adapter, or weights are quantised.
    pub fn train_all(&mut self) -> Result<()> {
        self.must_be_plain()?;
        if self.network.weights.iter().any(|weight| weight.as_tensor().is_none()) {
            return Err(Error::Frozen);
        }
        Arc::make_mut(&mut self.network).trainable = true;
        Ok(())
    }

    /// Has linear layers take their products in 8 bits, with a scale for each operand: E4M3 for inputs and weights, E5M2 for gradients
    /// of outputs. Weights and all else stay in their element type, and so do products where a size is no multiple of 16, of
    /// experts, of adapters, of the output projection, of what the definition declares, and of answers that are generated.
    ///
    /// # Errors
    /// If the device has no such products.
    pub fn use_float8(&mut self) -> Result<()> {
        require_float8(&self.device)?;
        Arc::make_mut(&mut self.network).float8 = true;
        Ok(())
    }

    /// Adds a linear layer from hidden states to `outputs` scores, to be trained: the one that lies beside the adapter in
    /// the folder `adapter`, or that the model's own files have, or else a new one, normal with deviation 0.02.
    ///
    /// # Errors
    /// If there is one with another number of outputs, or a file is broken.
    pub fn attach_score_head(&mut self, outputs: usize, adapter: Option<&Path>, seed: u64) -> Result<()> {
        let Network { architecture, adapter: attached, dtype, .. } = &*self.network;
        let id = attached.as_ref().map(|attached| attached.next_id(architecture));
        let id = ParameterId(id.unwrap_or(architecture.parameters.len() as u32));
        let places = adapter.map(|folder| (folder, Place::Adapter)).into_iter();
        let places: Vec<_> = places.chain([(self.config.folder(), Place::Model)]).collect();
        let hidden_size = architecture.hidden_size as usize;
        let element = (adapter_dtype(*dtype), &self.device);
        let head = ScoreHead::find(&places, outputs, hidden_size, element, seed, id)?;
        Arc::make_mut(&mut self.network).score_head = Some(head);
        Ok(())
    }

    /// Whether there is a score head.
    pub fn has_score_head(&self) -> bool {
        self.network.score_head.is_some()
    }

    fn must_be_plain(&self) -> Result<()> {
        match (&self.network.adapter, self.network.trainable) {
            (Some(_), _) => Err(Error::AlreadySet("an adapter")),
            (_, true) => Err(Error::AlreadySet("trainable weights")),
            _ => Ok(()),
        }
    }

    fn set_adapter(&mut self, adapter: Adapter) {
        Arc::make_mut(&mut self.network).adapter = Some(Arc::new(adapter));
    }

    /// What an optimiser works on, in a fixed order.
    pub fn parameters(&self) -> Vec<TrainableParameter> {
        self.network.trainable_parameters()
    }

    /// To be called when parameters have been changed in place: forgets what was derived from them.
    pub fn parameters_changed(&self) {
        self.network.parameters_changed();
        if let Some(adapter) = &self.network.adapter {
            adapter.parameters_changed();
        }
    }

    /// The hidden states `[tokens, hidden_size]` that the output projection takes.
    ///
    /// # Errors
    /// If the batch is not one for this model, or a stage fails or gives something that is no hidden state.
    pub fn forward(&self, tokens: &Tokens, options: ForwardOptions) -> Result<Tensor> {
        Ok(self.run_stages(self.batch(tokens)?, options, false)?.0)
    }

    /// As [`Self::forward`] for a batch that is learned from, with what the model adds to the loss.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_to_learn(
        &self,
        tokens: &Tokens,
        options: ForwardOptions,
    ) -> Result<(Tensor, Vec<AddedLoss>)> {
        self.run_stages(self.batch(tokens)?, options, true)
    }

    fn batch(&self, tokens: &Tokens) -> Result<Arc<Batch>> {
        let Network { architecture, dtype, .. } = &*self.network;
        Ok(Arc::new(Batch::new(tokens, architecture, *dtype, None)?))
    }

    /// Passes a batch through all stages, for its hidden states and what the stages add to the loss.
    pub(crate) fn run_stages(
        &self,
        batch: Arc<Batch>,
        options: ForwardOptions,
        training: bool,
    ) -> Result<(Tensor, Vec<AddedLoss>)> {
        let stages = (0..self.architecture().stages).map(|stage| Segment {
            definition: self.definition.clone(),
            network: self.network.clone(),
            batch: batch.clone(),
            stage,
            options,
            training,
        });
        let mut hidden: Option<Tensor> = None;
        let mut given = Aside::default();
        for stage in stages {
            let input = hidden.as_ref();
            let (output, aside) = match options.recompute {
                true => stage.run_recomputed(input, &given.handed_over)?,
                false => stage.run(input, given.handed_over.clone())?,
            };
            hidden = Some(output);
            given.handed_over.extend(aside.handed_over);
            given.losses.extend(aside.losses);
        }
        Ok((hidden.ok_or_else(|| Error::Batch("passed no stage".into()))?, given.losses))
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn network(&self) -> &Arc<Network> {
        &self.network
    }
}
