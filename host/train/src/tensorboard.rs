//! Scalars for TensorBoard: a file of TFRecords, each a protocol-buffer `Event`
//! (`tensorflow/core/util/event.proto`, `tensorflow/core/lib/io/record_writer.h`).

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::Result;
use crate::append::AppendFile;
use crate::metrics::Numbers;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// The events file of a run.
pub(crate) struct Events(AppendFile);

impl Events {
    /// A new file in `folder`.
    pub(crate) fn create(folder: &Path) -> Result<Self> {
        let name = format!("events.out.tfevents.{:010}.swift-host", now() as u64);
        let mut events = Self(AppendFile::create(&folder.join(name))?);
        events.write(&Event { file_version: Some("brain.Event:2".into()), ..Event::dated() })?;
        Ok(events)
    }

    /// The file as it was when it had `length` bytes.
    pub(crate) fn resume(path: &Path, length: u64) -> Result<Self> {
        Ok(Self(AppendFile::resume(path, length)?))
    }

    pub(crate) fn file(&self) -> &AppendFile {
        &self.0
    }

    /// Adds the numbers of a log line.
    pub(crate) fn add(&mut self, step: u64, numbers: &Numbers) -> Result<()> {
        let scalar = |(name, value): (&String, &serde_json::Value)| {
            Some(Scalar { tag: tag(name), simple_value: Some(value.as_f64()? as f32) })
        };
        let value = numbers.iter().filter_map(scalar).collect();
        self.write(&Event { step: step as i64, summary: Some(Summary { value }), ..Event::dated() })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        self.0.append(&record(&event.encode_to_vec()))
    }
}

impl Event {
    fn dated() -> Self {
        Self { wall_time: now(), ..Self::default() }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// The tag of a number, as transformers names it: `eval_loss` becomes `eval/loss`, `loss` becomes `train/loss`.
pub(crate) fn tag(name: &str) -> String {
    match name.strip_prefix("eval_") {
        Some(name) => format!("eval/{name}"),
        None => format!("train/{name}"),
    }
}

/// Length, its checksum, data, its checksum; all little-endian.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts: [&[u8]; 4] = [&length, &checksum(&length), data, &checksum(data)];
    parts.concat()
}

/// CRC-32C, rotated and offset so that a checksum over data with checksums in it is not degenerate.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file back, checking every checksum.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = std::fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], checksum(&rest[..8]));
            let data = &rest[12..12 + length];
            assert_eq!(rest[12 + length..16 + length], checksum(data));
            events.push(Event::decode(data).unwrap());
            rest = &rest[16 + length..];
        }
        events
    }

    fn only_file(folder: &Path) -> std::path::PathBuf {
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = files.as_slice() else { panic!("{files:?}") };
        file.clone()
    }

    fn numbers(value: serde_json::Value) -> Numbers {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn checksums_are_those_of_tensorflow() {
        assert_eq!(u32::from_le_bytes(checksum(&24u64.to_le_bytes())), 0x224b_7fa3);
    }

    #[test]
    fn numbers_come_back_under_the_tags_of_transformers() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path()).unwrap();
        events.add(5, &numbers(serde_json::json!({ "loss": 0.5, "elapsed_time": "3s", "lr": 0.0 }))).unwrap();
        events.add(7, &numbers(serde_json::json!({ "eval_rewards/margins": -2 }))).unwrap();
        let read = read(&only_file(folder.path()));
        assert_eq!(read[0].file_version.as_deref(), Some("brain.Event:2"));
        let scalars: Vec<_> = read
            .iter()
            .flat_map(|event| {
                event.summary.iter().flat_map(|summary| &summary.value).map(|value| (event.step, value))
            })
            .map(|(step, scalar)| (step, scalar.tag.as_str(), scalar.simple_value.unwrap()))
            .collect();
        assert_eq!(
            scalars,
            [(5, "train/loss", 0.5), (5, "train/lr", 0.0), (7, "eval/rewards/margins", -2.0)]
        );
    }

    #[test]
    fn a_resumed_file_goes_on_where_the_checkpoint_was() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path()).unwrap();
        events.add(1, &numbers(serde_json::json!({ "loss": 1 }))).unwrap();
        let length = events.file().length();
        events.add(2, &numbers(serde_json::json!({ "loss": 2 }))).unwrap();
        drop(events);
        let path = only_file(folder.path());
        let mut events = Events::resume(&path, length).unwrap();
        events.add(3, &numbers(serde_json::json!({ "loss": 3 }))).unwrap();
        assert_eq!(read(&path).iter().map(|event| event.step).collect::<Vec<_>>(), [0, 1, 3]);
    }
}
