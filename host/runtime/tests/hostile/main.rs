//! Hostile components, one by one. Each ends in a named error, leaves its neighbours alone, and gives all memory back.
//!
//! What a process has allocated is counted, so the tests take turns.

#[cfg(test)]
mod measure;
#[cfg(test)]
#[path = "../all/support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the other tests, which use the rest")]
mod support;

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use swift_runtime::{Error, Limits, LossPlugin};

    use crate::measure::{alone, measure};
    use crate::support::{Guest, SCALAR, compute, error, load, loss, message, string, value, wasi};

    /// Runs what a component does to its end several times.
    struct Trial {
        guest: Guest,
        limits: Limits,
        times: usize,
    }

    impl Trial {
        fn new(guest: Guest) -> Self {
            Self { guest, limits: Limits::default(), times: 3 }
        }

        fn of(compute: &str) -> Self {
            Self::new(Guest::loss(compute))
        }

        fn with_wasi(compute: &str) -> Self {
            Self::new(Guest::loss(compute).importing(wasi::PACKAGES, wasi::IMPORTS, wasi::CORE))
        }

        fn limited(mut self, limits: Limits) -> Self {
            self.limits = limits;
            self
        }

        /// Every call ends in this message, the neighbour does not notice, and memory is where it was.
        fn ends_in(self, expected: &str) -> LossPlugin {
            self.ends(|hostile| {
                let text = message(compute(hostile));
                assert!(text.starts_with("The plugin `hostile` ") && text.contains(expected), "{text}");
            })
        }

        fn ends(self, call: impl Fn(&mut LossPlugin)) -> LossPlugin {
            let _turn = alone();
            let mut neighbour = loss(SCALAR);
            let mut hostile = load(&self.guest.encode()).unwrap().loss(&Map::new(), &self.limits).unwrap();
            // What is made once and kept, such as a pool of threads, is made here.
            call(&mut hostile);
            assert_eq!(value(&compute(&mut neighbour).unwrap()), 1.0);
            measure(|| {
                for _ in 0..self.times {
                    call(&mut hostile);
                    assert_eq!(value(&compute(&mut neighbour).unwrap()), 1.0);
                }
            });
            hostile
        }
    }

    #[test]
    fn it_reads_a_file() {
        let read = format!("(call $tell-file {})", string("/etc/hostname"));
        Trial::with_wasi(&read)
            .ends_in("crashed in `compute`: wasm trap: wasm `unreachable` instruction executed");
        let hint = error(compute(&mut loss_with_wasi(&read))).hint().unwrap();
        assert!(hint.contains("`--grant 'hostile.read=DIRECTORY'` grants one"), "{hint}");
    }

    fn loss_with_wasi(compute: &str) -> LossPlugin {
        let guest = Guest::loss(compute).importing(wasi::PACKAGES, wasi::IMPORTS, wasi::CORE);
        load(&guest.encode()).unwrap().loss(&Map::new(), &Limits::default()).unwrap()
    }

    #[test]
    fn it_opens_a_socket() {
        let connect = "(drop (call $tell-port (i32.const 80))) unreachable";
        Trial::with_wasi(connect)
            .ends_in("crashed in `compute`: wasm trap: wasm `unreachable` instruction executed");
        // WASI's own word for it is `access-denied`.
        let code = value(&compute(&mut loss_with_wasi("(call $tell-port (i32.const 80))")).unwrap());
        assert_eq!(code, wasi::code::SOCKET_DENIED);
    }

    #[test]
    fn it_reads_the_environment() {
        let read = "(call $environment (i32.const 640))
            (if (i32.load (i32.const 644)) (then (return (call $code (i32.const 1)))))
            unreachable";
        Trial::with_wasi(read)
            .ends_in("crashed in `compute`: wasm trap: wasm `unreachable` instruction executed");
        let hint = error(compute(&mut loss_with_wasi(read))).hint().unwrap();
        assert!(hint.contains("`--grant 'hostile.env=NAME'` grants one"), "{hint}");
    }

    #[test]
    fn it_forges_a_handle() {
        Trial::of("(call $report (call $sum (i32.const 77)))")
            .ends_in("crashed in `compute`: unknown handle index 77");
    }

    #[test]
    fn it_keeps_a_borrow() {
        let keep = format!("(global.set $kept (local.get $batch)) {SCALAR}");
        Trial::new(Guest::untidy_loss(&keep)).ends_in("crashed in `compute`: borrow handles still remain");
    }

    #[test]
    fn it_grows_its_memory_without_end() {
        // Every page is touched, so that it is there.
        let grow = "(local $page i32)
            (loop $more
              (local.set $page (memory.grow (i32.const 1)))
              (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1))
              (br $more))
            unreachable";
        let limits = Limits { memory_bytes: 256 << 20, ..Limits::default() };
        Trial::of(grow)
            .limited(limits)
            .ends_in("was stopped in `compute`: it asked for more than 256 MiB of memory");
    }

    #[test]
    fn it_loops() {
        let limits = Limits { call_time: std::time::Duration::from_millis(50), ..Limits::default() };
        Trial::of("(loop $for-ever (br $for-ever)) unreachable")
            .limited(limits)
            .ends_in("was stopped in `compute`: it ran for more than 0.05 seconds");
    }

    #[test]
    fn it_recurses() {
        Trial::of("(call $compute (local.get $batch) (local.get $policy))")
            .ends_in("crashed in `compute`: wasm trap: call stack exhausted");
    }

    #[test]
    fn it_makes_a_million_tensors() {
        let make = "(loop $more (drop (call $full (f64.const 1) (i32.const 0))) (br $more)) unreachable";
        let hostile =
            Trial::of(make).ends_in("was stopped in `compute`: it held more than 1000000 handles at once");
        // The batch and the outputs are handles too.
        let left = hostile.usage().left_handles;
        assert!((999_990..=1_000_000).contains(&left), "{left} were alive, and were released");
    }

    #[test]
    fn it_asks_for_a_tensor_of_a_terabyte() {
        let ask = "(i64.store (i32.const 384) (i64.const 0x4000000000))
            (call $tensor-full (f64.const 1) (i32.const 384) (i32.const 1) (i32.const 1) (i32.const 256))
            (call $fail (i32.load (i32.const 264)) (i32.load (i32.const 268)))";
        Trial::of(ask).ends_in("failed in `compute`: out of memory in `full`: 274877906944 elements");
    }

    #[test]
    fn it_returns_a_tensor_that_is_none_of_its_own() {
        // A stream as if it were a tensor; then a handle that another instance would have.
        Trial::with_wasi("(call $report (call $get-stderr))").ends_in("crashed in `compute`: handle index");
        Trial::of("(call $report (i32.const 1))").ends_in("crashed in `compute`: unknown handle index 1");
    }

    #[test]
    fn it_traps_in_every_call() {
        let trial = Trial { times: 100, ..Trial::of("unreachable") };
        trial.ends_in("crashed in `compute`: wasm trap: wasm `unreachable` instruction executed");
    }

    #[test]
    fn it_sends_a_gigabyte_of_log() {
        // 16 384 lines of 64 KiB.
        let send = "(local $i i32)
            (drop (memory.grow (i32.const 1)))
            (memory.fill (i32.const 0x10000) (i32.const 97) (i32.const 0x10000))
            (loop $more
              (call $log (i32.const 2) (i32.const 0x10000) (i32.const 0x10000))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $more (i32.lt_u (local.get $i) (i32.const 0x4000))))
            unreachable";
        Trial::of(send).ends_in("crashed in `compute`: wasm trap: wasm `unreachable` instruction executed");
    }

    #[test]
    fn it_hoards_streams() {
        let hoard = "(loop $more (drop (call $get-stderr)) (br $more)) unreachable";
        Trial::with_wasi(hoard)
            .ends_in("was stopped in `compute`: it held more than 10000 resources of WASI at once");
    }

    #[test]
    fn it_writes_more_zeroes_than_there_is_memory() {
        let write = "(call $stream-zeroes (call $get-stderr) (i64.const 0x1000000000000000) (i32.const 656)) unreachable";
        Trial::with_wasi(write).ends_in("crashed in `compute`: cannot write more zeroes");
    }

    #[test]
    fn a_crash_is_told_apart_from_a_limit() {
        let _turn = alone();
        assert!(matches!(error(compute(&mut loss("unreachable"))), Error::Crash { function: "compute", .. }));
    }
}
