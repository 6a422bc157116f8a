//! `--trace-plugin`: each operation that plugins ask for, as a line.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use swift_runtime::{Operation, TensorType, Trace};

use crate::console::Console;
use crate::report::UsageError;

/// Operations go to a file as JSON lines, or in columns to stderr if none is named.
pub(crate) fn start(file: Option<&Path>, console: &Console) -> Result<Arc<dyn Trace>, UsageError> {
    let Some(path) = file else { return Ok(Arc::new(Columns(console.clone()))) };
    let file = File::create(path).map_err(|error| {
        UsageError::new(format!("Failed to make the trace file `{}`", path.display()))
            .hint("name a file in a folder that is there: `--trace-plugin=FILE`")
            .caused_by(error)
    })?;
    Ok(Arc::new(Lines(Mutex::new(BufWriter::new(file)))))
}

/// JSON lines in a file.
#[derive(Debug)]
struct Lines(Mutex<BufWriter<File>>);

impl Trace for Lines {
    fn operation(&self, plugin: &str, operation: &Operation) {
        let Operation { function, name, inputs, output, time } = operation;
        let inputs: Vec<_> = inputs.iter().map(tensor).collect();
        let mut line = json!({
            "plugin": plugin,
            "function": function,
            "operation": name,
            "inputs": inputs,
            "micros": time.as_nanos() as f64 / 1e3,
        });
        match (output, line.as_object_mut()) {
            (Ok(output), Some(line)) => line.insert("output".into(), output.as_ref().map(tensor).into()),
            (Err(error), Some(line)) => line.insert("error".into(), error.as_str().into()),
            (_, None) => None,
        };
        // A full disk ends the trace and not the run.
        let _ = writeln!(self.0.lock().unwrap_or_else(PoisonError::into_inner), "{line}");
    }
}

fn tensor(tensor: &TensorType) -> serde_json::Value {
    json!({ "dtype": tensor.dtype.as_str(), "shape": tensor.shape })
}

/// Columns on stderr.
struct Columns(Console);

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Columns")
    }
}

impl Trace for Columns {
    fn operation(&self, plugin: &str, operation: &Operation) {
        self.0.line(&line(plugin, operation));
    }
}

/// Time, plugin, function, operation, and what goes in and comes out.
fn line(plugin: &str, operation: &Operation) -> String {
    let Operation { function, name, inputs, output, time } = operation;
    let micros = time.as_nanos() as f64 / 1e3;
    let inputs = inputs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let output = match output {
        Ok(Some(output)) => format!("-> {output}"),
        Ok(None) => String::new(),
        Err(error) => format!("failed: {error}"),
    };
    let line = format!("{micros:9.1} µs  {plugin:14} {function:10} {name:20} {inputs} {output}");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swift_tensor::DType;

    use super::*;

    fn operation(output: Result<Option<TensorType>, String>) -> Operation {
        let inputs = vec![TensorType { dtype: DType::F32, shape: vec![2, 3] }];
        let time = Duration::from_nanos(1500);
        Operation { function: "compute", name: "log-softmax".into(), inputs, output, time }
    }

    #[test]
    fn an_operation_is_a_line() {
        let output = TensorType { dtype: DType::F32, shape: vec![2, 3] };
        assert_eq!(
            line("dpo", &operation(Ok(Some(output)))),
            "      1.5 µs  dpo            compute    log-softmax          f32[2, 3] -> f32[2, 3]"
        );
        let failed = line("dpo", &operation(Err("no".into())));
        assert!(failed.ends_with("f32[2, 3] failed: no"), "{failed}");
    }

    #[test]
    fn a_file_gets_json_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.jsonl");
        let console = Console::hidden();
        let trace = start(Some(&path), &console).unwrap();
        trace.operation("dpo", &operation(Ok(None)));
        drop(trace);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"plugin\":\"dpo\",\"function\":\"compute\",\"operation\":\"log-softmax\",\
             \"inputs\":[{\"dtype\":\"f32\",\"shape\":[2,3]}],\"micros\":1.5,\"output\":null}\n"
        );
        assert!(start(Some(folder.path()), &console).is_err());
    }
}
