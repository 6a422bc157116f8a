use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use swift_data::{Dataset, DatasetSpec, LoadOptions, Template, TemplateOptions, TrainedParts};

use crate::support::{MessagesAdapter, file, load, rows, template, template_with, tokenizer};

/// Loads with a cache; says how many rows the adapter converted.
fn load_counting(path: &str, template: &mut Template, options: &LoadOptions) -> (Dataset, usize) {
    load_with(MessagesAdapter::new(), path, template, options)
}

fn load_with(
    adapter: MessagesAdapter,
    path: &str,
    template: &mut Template,
    options: &LoadOptions,
) -> (Dataset, usize) {
    let converted = Rc::clone(&adapter.converted);
    let spec: DatasetSpec = path.parse().unwrap();
    let dataset = Dataset::load(&[spec], &mut [Box::new(adapter)], template, options).unwrap();
    (dataset, converted.get())
}

fn cached(directory: &Path) -> LoadOptions {
    LoadOptions { cache_directory: Some(directory.into()), ..LoadOptions::default() }
}

fn cache_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn tokens_come_from_the_cache_when_nothing_has_changed() {
    let (folder, path) = file("a.jsonl", format!("{}{{\"messages\": 0}}\n", rows(600)));
    let mut template = template("qwen");
    let directory = folder.path().join("new/cache");
    let options = cached(&directory);
    let (first, converted) = load_counting(&path, &mut template, &options);
    assert_eq!((converted, first.report().from_cache), (601, false));
    let (second, converted) = load_counting(&path, &mut template, &options);
    assert_eq!((converted, second.report().from_cache), (0, true));
    assert_eq!(first.len(), second.len());
    for index in 0..first.len() {
        assert_eq!(first.example(index).unwrap(), second.example(index).unwrap());
        assert_eq!(first.label_count(index).unwrap(), second.label_count(index).unwrap());
    }
    let (mut left, right) = (first.report().clone(), second.report().clone());
    left.from_cache = true;
    assert_eq!(left, right);
    assert_eq!(right.dropped[0].count, 1);
    assert_eq!(cache_files(&directory).len(), 1, "no temporary file is left");
}

#[test]
fn a_change_of_anything_that_tokens_depend_on_makes_them_anew() {
    let (folder, path) = file("a.jsonl", rows(3));
    let options = cached(&folder.path().join("cache"));
    let mut qwen = template("qwen");
    let converted =
        |template: &mut Template, options: &LoadOptions| load_counting(&path, template, options).1;
    assert_eq!(converted(&mut qwen, &options), 3);
    assert_eq!(converted(&mut qwen, &options), 0);
    assert_eq!(converted(&mut template("qwen3"), &options), 3);
    let system = TemplateOptions { system: Some("Be brief.".into()), ..TemplateOptions::default() };
    assert_eq!(converted(&mut template_with("qwen", &tokenizer(), system).unwrap(), &options), 3);
    assert_eq!(converted(&mut qwen, &LoadOptions { max_length: Some(99), ..options.clone() }), 3);
    assert_eq!(
        converted(&mut qwen, &LoadOptions { trained_parts: TrainedParts::Everything, ..options.clone() }),
        3
    );
    let other = MessagesAdapter { digest: "sha256:2".into(), ..MessagesAdapter::new() };
    assert_eq!(load_with(other, &path, &mut qwen, &options).1, 3);
    fs::write(&path, rows(4)).unwrap();
    assert_eq!(converted(&mut qwen, &options), 4);
}

#[test]
fn a_damaged_cache_is_made_anew() {
    let (folder, path) = file("a.jsonl", rows(5));
    let directory = folder.path().join("cache");
    let options = cached(&directory);
    let mut template = template("qwen");
    load_counting(&path, &mut template, &options);
    let file = cache_files(&directory).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..10], &[]] {
        fs::remove_file(&file).unwrap();
        fs::write(&file, damaged).unwrap();
        let (dataset, converted) = load_counting(&path, &mut template, &options);
        assert_eq!((converted, dataset.report().from_cache), (5, false));
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn a_cache_folder_that_cannot_be_written_does_not_stop_the_run() {
    let (folder, path) = file("a.jsonl", rows(5));
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let (dataset, _) = load_counting(&path, &mut template("qwen"), &cached(&blocked.join("cache")));
    assert_eq!(dataset.len(), 5);
}

#[test]
fn the_number_of_threads_does_not_change_a_byte() {
    let (folder, path) = file("a.jsonl", format!("{}{{\"messages\": 0}}\n", rows(1500)));
    let bytes = [1, 4].map(|threads| {
        let directory = folder.path().join(threads.to_string());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| load(&[&path], &mut template("qwen"), &cached(&directory)).map(drop)).unwrap();
        fs::read(cache_files(&directory).pop().unwrap()).unwrap()
    });
    assert!(bytes[0] == bytes[1]);
}
