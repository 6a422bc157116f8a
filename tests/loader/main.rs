//! Damaged components are refused, whatever the damage: the loader gives a plugin or an error, and does not panic.
//!
//! `cargo xtask fuzz` looks further, guided by what the loader does.

#[cfg(test)]
mod mutation;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use swift_runtime::{Engine, EngineOptions, Limits, Registry};
    use swift_standard_plugins::STANDARD;

    use crate::mutation::{MUTATIONS, Numbers};

    /// How often each kind of damage is done to each component.
    const ROUNDS: u64 = 2;

    #[test]
    fn a_damaged_component_is_loaded_or_refused_and_nothing_worse() {
        // Damaged code may loop, which takes as long as it may.
        let loading = Limits { call_time: Duration::from_millis(100), ..Limits::default() };
        let engine = Engine::new(EngineOptions { loading, ..EngineOptions::default() }).unwrap();
        let registry = Registry::new(engine, &[]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.wasm");
        let (mut loaded, mut refused) = (0, 0);
        for (place, (name, wasm)) in STANDARD.iter().enumerate() {
            let (_, other) = STANDARD[(place + 1) % STANDARD.len()];
            for (kind, mutate) in MUTATIONS {
                for round in 0..ROUNDS {
                    let mut numbers = Numbers::new((place as u64) << 32 | round);
                    let damaged = mutate(&mut numbers, wasm, other);
                    std::fs::write(&path, &damaged).unwrap();
                    match registry.resolve(path.to_str().unwrap()) {
                        Ok(_) => loaded += 1,
                        Err(error) => {
                            refused += 1;
                            let text = error.to_string();
                            assert!(
                                !text.is_empty() && !text.ends_with('.'),
                                "{name}, {kind} {round}: {text:?}"
                            );
                        }
                    }
                }
            }
        }
        println!("{loaded} were loaded and {refused} refused");
        assert!(refused > loaded, "{loaded} were loaded and {refused} refused");
    }
}
