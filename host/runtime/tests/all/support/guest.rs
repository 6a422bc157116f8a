//! Plugins written as WebAssembly text, to do what no compiler would let them do.
//!
//! A test gives the bodies of functions; the module around them, its imports and the memory layout are here. What goes in
//! and out of functions is in the contract's canonical form: a result that is more than a number is a pointer to it.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

// The texts below use three more addresses as they are: 256 for what host functions give, 320 for what a function gives
// itself, and 384 for the shape [2, 3].

/// What `describe` gives.
const INFO: u32 = 512;
/// Texts that bodies use, and those of `INFO`.
const TEXTS: u32 = 1024;
/// The first byte that the allocator gives out.
const HEAP: u32 = 4096;

/// A body of `compute` that gives the scalar 1.
pub(crate) const SCALAR: &str = "(call $report (call $full (f64.const 1) (i32.const 0)))";

/// What a module consists of.
pub(crate) struct Guest {
    world: &'static str,
    /// Packages besides the contract, as WIT, and the lines that import from them.
    packages: &'static [&'static str],
    imports: &'static str,
    /// Instructions.
    configure: &'static str,
    /// Core imports and functions, as text.
    text: String,
}

/// An escaped text at an address, for the data of a module.
fn data(address: u32, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {address}) \"{escaped}\")\n")
}

/// The address of a text of [`STRINGS`].
pub(crate) fn address(text: &str) -> u32 {
    TEXTS + STRINGS.find(text).unwrap() as u32
}

/// Address and length of a text of [`STRINGS`], as two constants.
pub(crate) fn string(text: &str) -> String {
    format!("(i32.const {}) (i32.const {})", address(text), text.len())
}

/// Texts that every module has at hand.
const STRINGS: &str = "hostile 1.0 Misbehaves beta Strength 0.5 boom at lib.rs:1 the state rewards/margin first line\nout of ideas\n \
    inside.txt ../outside.txt /etc/hostname link.txt new.txt localhost example.com";

const TENSOR_IMPORTS: &str = r#"
  (import "swift:plugin/tensor@0.1.0" "full" (func $tensor-full (param f64 i32 i32 i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "uniform" (func $tensor-uniform (param f64 f64 i32 i32 i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "from-list" (func $tensor-from-list (param i32 i32 i32 i32 i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "[method]tensor.to-list" (func $tensor-to-list (param i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "[method]tensor.add" (func $tensor-add (param i32 i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "[method]tensor.log" (func $tensor-log (param i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "[method]tensor.detach" (func $tensor-detach (param i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "[method]tensor.sum" (func $tensor-sum (param i32 i32 i32 i32 i32)))
  (import "swift:plugin/tensor@0.1.0" "[resource-drop]tensor" (func $tensor-drop (param i32)))

  ;; The handle or, if the operation failed, an end.
  (func $handle (result i32)
    (if (i32.load8_u (i32.const 256)) (then unreachable))
    (i32.load (i32.const 260)))
  ;; A float32 tensor of the first `rank` sizes of [2, 3].
  (func $full (param $value f64) (param $rank i32) (result i32)
    (call $tensor-full (local.get $value) (i32.const 384) (local.get $rank) (i32.const 1) (i32.const 256))
    (call $handle))
  (func $add (param $a i32) (param $b i32) (result i32)
    (call $tensor-add (local.get $a) (local.get $b) (i32.const 256))
    (call $handle))
  (func $sum (param $x i32) (result i32)
    (call $tensor-sum (local.get $x) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
    (call $handle))
"#;

const LOSS: &str = r#"
  (import "swift:plugin/batch-view@0.1.0" "[method]batch.labels" (func $labels (param i32) (result i32)))
  (import "swift:plugin/batch-view@0.1.0" "[method]outputs.token-logps" (func $outputs-token-logps (param i32 i32)))
  (import "swift:plugin/batch-view@0.1.0" "[resource-drop]batch" (func $batch-drop (param i32)))
  (import "swift:plugin/batch-view@0.1.0" "[resource-drop]outputs" (func $outputs-drop (param i32)))
  (func $token-logps (param $outputs i32) (result i32)
    (call $outputs-token-logps (local.get $outputs) (i32.const 256))
    (call $handle))
  ;; A report without metrics.
  (func $report (param $loss i32) (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (local.get $loss))
    (i32.store (i32.const 328) (i32.const 0))
    (i32.store (i32.const 332) (i32.const 0))
    (i32.const 320))
  ;; The error `other` with a text.
  (func $fail (param $text i32) (param $length i32) (result i32)
    (i32.store (i32.const 320) (i32.const 1))
    (i32.store (i32.const 324) (i32.const 5))
    (i32.store (i32.const 328) (local.get $text))
    (i32.store (i32.const 332) (local.get $length))
    (i32.const 320))
  (func (export "swift:plugin/loss@0.1.0#requires") (result i32)
    ;; Pairs, the last round, no models and no head, no dropout.
    (i32.store (i32.const 320) (i32.const 0x0101))
    (i32.store (i32.const 324) (i32.const 0))
    (i32.store (i32.const 332) (i32.const 1))
    (i32.const 320))
  (func (export "swift:plugin/loss@0.1.0#save-state") (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (i32.const 0))
    (i32.const 320))
  (func (export "swift:plugin/loss@0.1.0#restore-state") (param i32 i32) (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.const 320))
"#;

/// Calls `$compute` and gives back what it borrowed.
const TIDY_COMPUTE: &str = r#"
  (func (export "swift:plugin/loss@0.1.0#compute") (param $batch i32) (param $policy i32) (param $has i32) (param $reference i32) (result i32)
    (call $compute (local.get $batch) (local.get $policy))
    (call $batch-drop (local.get $batch))
    (call $outputs-drop (local.get $policy))
    (if (local.get $has) (then (call $outputs-drop (local.get $reference)))))
"#;

impl Guest {
    /// A plugin of a world of the contract, with core imports and functions.
    pub(crate) fn new(world: &'static str, text: impl Into<String>) -> Self {
        Self { world, packages: &[], imports: "", configure: "", text: text.into() }
    }

    /// A loss whose `compute` is this text. It has the parameters `$batch` and `$policy` and gives a pointer.
    pub(crate) fn loss(compute: &str) -> Self {
        let compute =
            format!("(func $compute (param $batch i32) (param $policy i32) (result i32)\n{compute})");
        Self::new("loss-plugin", format!("{TENSOR_IMPORTS}\n{LOSS}\n{TIDY_COMPUTE}\n{compute}"))
    }

    /// A loss whose exported `compute` is this text, so that nothing tidies up after it.
    pub(crate) fn untidy_loss(compute: &str) -> Self {
        let compute = format!(
            r#"(func (export "swift:plugin/loss@0.1.0#compute")
                 (param $batch i32) (param $policy i32) (param $has i32) (param $reference i32) (result i32)
                 {compute})"#
        );
        Self::new("loss-plugin", format!("{TENSOR_IMPORTS}\n{LOSS}\n{compute}"))
    }

    /// A model definition with bodies of `load` (the parameters `$json` and `$length`) and of `forward` (the parameters
    /// `$stage`, `$has`, `$input` and `$context`).
    pub(crate) fn model(load: &str, forward: &str) -> Self {
        Self::new(
            "model-plugin",
            format!(
                r#"{TENSOR_IMPORTS}
  (import "swift:plugin/nn@0.1.0" "[method]context.embedding" (func $context-embedding (param i32 i32 i32)))
  (import "swift:plugin/nn@0.1.0" "[method]context.linear" (func $context-linear (param i32 i32 i32 i32 i32 i32)))
  (import "swift:plugin/nn@0.1.0" "[resource-drop]context" (func $context-drop (param i32)))
  (func $ok (param $handle i32) (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (local.get $handle))
    (i32.const 320))
  (func (export "swift:plugin/model@0.1.0#supports") (param $name i32) (param $name-length i32) (param $type i32) (param $type-length i32) (result i32)
    (i32.eq (local.get $type-length) (i32.const 4)))
  (func (export "swift:plugin/model@0.1.0#load") (param $json i32) (param $length i32) (result i32)
{load})
  (func $forward (param $stage i32) (param $has i32) (param $input i32) (param $context i32) (result i32)
{forward})
  (func (export "swift:plugin/model@0.1.0#forward") (param $stage i32) (param $has i32) (param $input i32) (param $context i32) (result i32)
    (call $forward (local.get $stage) (local.get $has) (local.get $input) (local.get $context))
    (if (local.get $has) (then (call $tensor-drop (local.get $input))))
    (call $context-drop (local.get $context)))
"#
            ),
        )
    }

    /// A callback that answers an evaluation with two actions, and other events with none.
    pub(crate) fn callback() -> Self {
        Self::new(
            "callback-plugin",
            format!(
                r#"
  (import "swift:plugin/run-view@0.1.0" "[resource-drop]run" (func $run-drop (param i32)))
  (func (export "swift:plugin/callback@0.1.0#on-event") (param $event i32) (param i64 i64 f64 f64 i32 i32) (param $run i32) (result i32)
    (call $run-drop (local.get $run))
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (i32.const 704))
    (i32.store (i32.const 328) (select (i32.const 2) (i32.const 0) (i32.eq (local.get $event) (i32.const 3))))
    ;; `evaluate`, and `stop` with a reason.
    (i32.store (i32.const 704) (i32.const 1))
    (i32.store (i32.const 728) (i32.const 2))
    (i32.store (i32.const 736) (i32.const {reason}))
    (i32.store (i32.const 740) (i32.const 12))
    (i32.const 320))
  (func (export "swift:plugin/callback@0.1.0#save-state") (result i32)
    (i32.store (i32.const 320) (i32.const {state}))
    (i32.store (i32.const 324) (i32.const 9))
    (i32.const 320))
  (func (export "swift:plugin/callback@0.1.0#restore-state") (param i32) (param $length i32) (result i32)
    (i32.store (i32.const 320) (i32.ne (local.get $length) (i32.const 9)))
    (i32.store (i32.const 324) (i32.const {reason}))
    (i32.store (i32.const 328) (i32.const 12))
    (i32.const 320))
"#,
                reason = address("out of ideas"),
                state = address("the state"),
            ),
        )
    }

    /// A sampler whose `adjust` is this text. It has the parameters `$logits` and `$generation` and gives a pointer.
    pub(crate) fn sampler(adjust: &str) -> Self {
        Self::new(
            "sampler-plugin",
            format!(
                r#"{TENSOR_IMPORTS}
  (import "swift:plugin/tensor@0.1.0" "[method]tensor.clamp" (func $tensor-clamp (param i32 f64 f64 i32)))
  (import "swift:plugin/generation-view@0.1.0" "[method]generation.step" (func $step (param i32) (result i64)))
  (import "swift:plugin/generation-view@0.1.0" "[method]generation.remember" (func $remember (param i32 i32 i32 i32)))
  (import "swift:plugin/generation-view@0.1.0" "[resource-drop]generation" (func $generation-drop (param i32)))
  (func $ok (param $handle i32) (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (local.get $handle))
    (i32.const 320))
  ;; The error `other` with a text.
  (func $fail (param $text i32) (param $length i32) (result i32)
    (i32.store (i32.const 320) (i32.const 1))
    (i32.store (i32.const 324) (i32.const 5))
    (i32.store (i32.const 328) (local.get $text))
    (i32.store (i32.const 332) (local.get $length))
    (i32.const 320))
  ;; Every token as probable as every other.
  (func $flat (param $logits i32) (result i32)
    (call $tensor-clamp (local.get $logits) (f64.const 0) (f64.const 0) (i32.const 256))
    (call $handle))
  (func $adjust (param $logits i32) (param $generation i32) (result i32)
{adjust})
  (func (export "swift:plugin/sampler@0.1.0#adjust") (param $logits i32) (param $generation i32) (result i32)
    (call $adjust (local.get $logits) (local.get $generation))
    (call $tensor-drop (local.get $logits))
    (call $generation-drop (local.get $generation)))
"#
            ),
        )
    }

    /// A parser of tool calls whose `parse` is this text. It has the parameters `$answer`, `$length`, `$finished`, `$tools` and
    /// `$tools_length`, and gives a pointer.
    #[allow(dead_code, reason = "tests of the server use it")]
    pub(crate) fn tool_parser(parse: &str) -> Self {
        Self::new(
            "tool-parser-plugin",
            format!(
                r#"
  ;; The beginning of a text and no calls.
  (func $text (param $length i32) (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (i32.const {TEXTS}))
    (i32.store (i32.const 328) (local.get $length))
    (i32.store (i32.const 332) (i32.const 0))
    (i32.store (i32.const 336) (i32.const 0))
    (i32.const 320))
  (func (export "swift:plugin/tool-parser@0.1.0#parse") (param $answer i32) (param $length i32) (param $finished i32) (param $tools i32) (param $tools_length i32) (result i32)
{parse})
"#
            ),
        )
    }

    /// An adapter that skips one row, however many it is given.
    pub(crate) fn dataset() -> Self {
        Self::new(
            "dataset-plugin",
            format!(
                r#"
  (func (export "swift:plugin/dataset@0.1.0#matches") (param i32) (param $count i32) (result i32) (local.get $count))
  (func (export "swift:plugin/dataset@0.1.0#convert") (param i32 i32) (result i32)
    (i32.store (i32.const 320) (i32.const 0))
    (i32.store (i32.const 324) (i32.const 704))
    (i32.store (i32.const 328) (i32.const 1))
    (i32.store (i32.const 704) (i32.const 1))
    (i32.store (i32.const 708) (i32.const {reason}))
    (i32.store (i32.const 712) (i32.const 12))
    (i32.const 320))
"#,
                reason = address("out of ideas"),
            ),
        )
    }

    /// With further interfaces: packages as WIT, lines that import from them, and core imports.
    pub(crate) fn importing(
        mut self,
        packages: &'static [&'static str],
        imports: &'static str,
        core: &str,
    ) -> Self {
        (self.packages, self.imports) = (packages, imports);
        self.with(core)
    }

    /// With instructions of `configure`, before it accepts the hyper-parameters.
    pub(crate) fn configuring(mut self, instructions: &'static str) -> Self {
        self.configure = instructions;
        self
    }

    /// With more text.
    pub(crate) fn with(mut self, text: &str) -> Self {
        self.text = format!("{}\n{text}", self.text);
        self
    }

    /// The component.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut wit = Resolve::default();
        wit.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
        for package in self.packages {
            wit.push_str("further.wit", package).unwrap();
        }
        let (world, imports) = (self.world, self.imports);
        let world =
            format!("package a:test;\nworld guest {{ include swift:plugin/{world}@0.1.0; {imports} }}");
        encode(&mut wit, &world, &self.module())
    }

    fn module(&self) -> String {
        let info: Vec<u8> = ["hostile", "1.0", "Misbehaves"].into_iter().flat_map(place).collect();
        let mut parameter: Vec<u8> = ["beta", "Strength"].into_iter().flat_map(place).collect();
        parameter.extend(2u32.to_le_bytes());
        parameter.extend(place("0.5"));
        let parameters: Vec<u8> = [INFO + 32, 1].into_iter().flat_map(u32::to_le_bytes).collect();
        let shape: Vec<u8> = [2u64, 3].into_iter().flat_map(u64::to_le_bytes).collect();
        let data = [
            data(INFO, &[info, parameters, parameter].concat()),
            data(TEXTS, STRINGS.as_bytes()),
            data(384, &shape),
        ];
        // Imports come first in a module.
        let (imports, functions): (Vec<&str>, Vec<&str>) =
            self.text.lines().partition(|line| line.trim_start().starts_with("(import"));
        format!(
            r#"(module
  (import "swift:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "swift:plugin/log@0.1.0" "panicked" (func $panicked (param i32 i32)))
{imports}
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const {HEAP}))
  (global $kept (mut i32) (i32.const 0))
{data}
  (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
    (local $given i32)
    (local.set $given (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $given) (local.get $size)))
    (loop $more
      (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
        (then (drop (memory.grow (i32.const 1))) (br $more))))
    (local.get $given))
  (func (export "swift:plugin/meta@0.1.0#describe") (result i32) (i32.const {INFO}))
  (func (export "swift:plugin/meta@0.1.0#configure") (param i32 i32) (result i32)
    {configure}
    (i32.store (i32.const 320) (i32.const 0))
    (i32.const 320))
{functions}
)"#,
            imports = imports.join("\n"),
            configure = self.configure,
            functions = functions.join("\n"),
            data = data.concat(),
        )
    }
}

/// Address and length of a text of [`STRINGS`], as they lie in memory.
fn place(text: &str) -> Vec<u8> {
    [address(text), text.len() as u32].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A component of a core module, and the world `a:test/guest` that it is made for.
pub(crate) fn encode(wit: &mut Resolve, world: &str, module: &str) -> Vec<u8> {
    let package = wit.push_str("world.wit", world).unwrap();
    let world = wit.select_world(&[package], Some("guest")).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut module, wit, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
}
