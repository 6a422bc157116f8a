//! As much of WASI as the tests use, as WIT, and the core imports and functions of modules that use it.

/// The packages.
pub(crate) const PACKAGES: &[&str] = &[
    "package wasi:io@0.2.6;
     interface error { resource error; }
     interface poll {
         resource pollable { block: func(); }
         poll: func(in: list<borrow<pollable>>) -> list<u32>;
     }
     interface streams {
         use error.{error};
         use poll.{pollable};
         variant stream-error { last-operation-failed(error), closed }
         resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
         resource output-stream {
             blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
             write-zeroes: func(len: u64) -> result<_, stream-error>;
         }
     }",
    "package wasi:cli@0.2.6;
     interface stderr { use wasi:io/streams@0.2.6.{output-stream}; get-stderr: func() -> output-stream; }
     interface exit { exit-with-code: func(status-code: u8); }
     interface environment { get-environment: func() -> list<tuple<string, string>>; }",
    "package wasi:clocks@0.2.6;
     interface monotonic-clock { use wasi:io/poll@0.2.6.{pollable}; subscribe-duration: func(when: u64) -> pollable; }",
    "package wasi:random@0.2.6;
     interface random { get-random-u64: func() -> u64; }",
    "package wasi:filesystem@0.2.6;
     interface types {
         enum error-code {
             access, would-block, already, bad-descriptor, busy, deadlock, quota, exist, file-too-large,
             illegal-byte-sequence, in-progress, interrupted, invalid, io, is-directory, loop, too-many-links,
             message-size, name-too-long, no-device, no-entry, no-lock, insufficient-memory, insufficient-space,
             not-directory, not-empty, not-recoverable, unsupported, no-tty, no-such-device, overflow, not-permitted,
             pipe, read-only, invalid-seek, text-file-busy, cross-device,
         }
         flags path-flags { symlink-follow }
         flags open-flags { create, directory, exclusive, truncate }
         flags descriptor-flags {
             read, write, file-integrity-sync, data-integrity-sync, requested-write-sync, mutate-directory,
         }
         resource descriptor {
             open-at: func(path-flags: path-flags, path: string, open-flags: open-flags, %flags: descriptor-flags)
                 -> result<descriptor, error-code>;
             read: func(length: u64, offset: u64) -> result<tuple<list<u8>, bool>, error-code>;
             write: func(buffer: list<u8>, offset: u64) -> result<u64, error-code>;
         }
     }
     interface preopens {
         use types.{descriptor};
         get-directories: func() -> list<tuple<descriptor, string>>;
     }",
    "package wasi:sockets@0.2.6;
     interface network {
         resource network;
         enum error-code {
             unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
             not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
             remote-unreachable, connection-refused, connection-reset, connection-aborted, datagram-too-large,
             name-unresolvable, temporary-resolver-failure, permanent-resolver-failure,
         }
         enum ip-address-family { ipv4, ipv6 }
         record ipv4-socket-address { port: u16, address: tuple<u8, u8, u8, u8> }
         record ipv6-socket-address {
             port: u16, flow-info: u32, address: tuple<u16, u16, u16, u16, u16, u16, u16, u16>, scope-id: u32,
         }
         variant ip-socket-address { ipv4(ipv4-socket-address), ipv6(ipv6-socket-address) }
     }
     interface instance-network { use network.{network}; instance-network: func() -> network; }
     interface tcp {
         use wasi:io/streams@0.2.6.{input-stream, output-stream};
         use wasi:io/poll@0.2.6.{pollable};
         use network.{network, error-code, ip-socket-address};
         resource tcp-socket {
             start-connect: func(network: borrow<network>, remote-address: ip-socket-address) -> result<_, error-code>;
             finish-connect: func() -> result<tuple<input-stream, output-stream>, error-code>;
             subscribe: func() -> pollable;
         }
     }
     interface tcp-create-socket {
         use network.{error-code, ip-address-family};
         use tcp.{tcp-socket};
         create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
     }
     interface ip-name-lookup {
         use network.{network, error-code};
         resource resolve-address-stream;
         resolve-addresses: func(network: borrow<network>, name: string) -> result<resolve-address-stream, error-code>;
     }",
];

/// The lines of a world that import them.
pub(crate) const IMPORTS: &str = "
    import wasi:cli/stderr@0.2.6; import wasi:cli/exit@0.2.6; import wasi:cli/environment@0.2.6;
    import wasi:clocks/monotonic-clock@0.2.6; import wasi:random/random@0.2.6; import wasi:filesystem/preopens@0.2.6;
    import wasi:sockets/instance-network@0.2.6; import wasi:sockets/tcp-create-socket@0.2.6;
    import wasi:sockets/ip-name-lookup@0.2.6;";

/// The core imports, and functions that make them easier to use.
pub(crate) const CORE: &str = r#"
  (import "wasi:cli/stderr@0.2.6" "get-stderr" (func $get-stderr (result i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.blocking-write-and-flush" (func $stream-write (param i32 i32 i32 i32)))
  (import "wasi:io/streams@0.2.6" "[method]output-stream.write-zeroes" (func $stream-zeroes (param i32 i64 i32)))
  (import "wasi:io/streams@0.2.6" "[method]input-stream.blocking-read" (func $stream-read (param i32 i64 i32)))
  (import "wasi:cli/exit@0.2.6" "exit-with-code" (func $exit (param i32)))
  (import "wasi:cli/environment@0.2.6" "get-environment" (func $environment (param i32)))
  (import "wasi:clocks/monotonic-clock@0.2.6" "subscribe-duration" (func $after (param i64) (result i32)))
  (import "wasi:io/poll@0.2.6" "[method]pollable.block" (func $block (param i32)))
  (import "wasi:io/poll@0.2.6" "[resource-drop]pollable" (func $pollable-drop (param i32)))
  (import "wasi:random/random@0.2.6" "get-random-u64" (func $random (result i64)))
  (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func $directories (param i32)))
  (import "wasi:filesystem/types@0.2.6" "[method]descriptor.open-at" (func $open-at (param i32 i32 i32 i32 i32 i32 i32)))
  (import "wasi:filesystem/types@0.2.6" "[method]descriptor.read" (func $read-at (param i32 i64 i64 i32)))
  (import "wasi:filesystem/types@0.2.6" "[method]descriptor.write" (func $write-at (param i32 i32 i32 i64 i32)))
  (import "wasi:sockets/instance-network@0.2.6" "instance-network" (func $network (result i32)))
  (import "wasi:sockets/tcp-create-socket@0.2.6" "create-tcp-socket" (func $tcp-socket (param i32 i32)))
  (import "wasi:sockets/tcp@0.2.6" "[method]tcp-socket.start-connect" (func $start-connect (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "wasi:sockets/tcp@0.2.6" "[method]tcp-socket.finish-connect" (func $finish-connect (param i32 i32)))
  (import "wasi:sockets/tcp@0.2.6" "[method]tcp-socket.subscribe" (func $socket-subscribe (param i32) (result i32)))
  (import "wasi:sockets/ip-name-lookup@0.2.6" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))
  (func $complain (param $text i32) (param $length i32)
    (call $stream-write (call $get-stderr) (local.get $text) (local.get $length) (i32.const 256)))
  ;; The loss is the number of an error.
  (func $code (param $error i32) (result i32)
    (call $report (call $full (f64.convert_i32_u (local.get $error)) (i32.const 0))))
  ;; The first granted directory, and an end without one.
  (func $directory (result i32)
    (call $directories (i32.const 640))
    (if (i32.eqz (i32.load (i32.const 644))) (then unreachable))
    (i32.load (i32.load (i32.const 640))))
  ;; Opens a file of the first directory, following links: the result is at 656.
  (func $open (param $path i32) (param $length i32) (param $how i32) (param $rights i32)
    (call $open-at (call $directory) (i32.const 1) (local.get $path) (local.get $length) (local.get $how) (local.get $rights) (i32.const 656)))
  ;; The content of a file as the message of an error, or the number of WASI's error as the loss.
  (func $tell-file (param $path i32) (param $length i32) (result i32)
    (call $open (local.get $path) (local.get $length) (i32.const 0) (i32.const 1))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 660))))))
    (call $read-at (i32.load (i32.const 660)) (i64.const 100) (i64.const 0) (i32.const 656))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 660))))))
    (call $fail (i32.load (i32.const 660)) (i32.load (i32.const 664))))
  ;; Writes into a file that is made if need be. The loss is -1, or the number of WASI's error.
  (func $write-file (param $path i32) (param $length i32) (result i32)
    (call $open (local.get $path) (local.get $length) (i32.const 1) (i32.const 2))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 660))))))
    (call $write-at (i32.load (i32.const 660)) (local.get $path) (local.get $length) (i64.const 0) (i32.const 656))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 664))))))
    (call $report (call $full (f64.const -1) (i32.const 0))))
  ;; Connects to a port of 127.0.0.1 and tells what is sent from there, or the number of the error as the loss.
  (func $tell-port (param $port i32) (result i32) (local $socket i32)
    (call $tcp-socket (i32.const 0) (i32.const 656))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 660))))))
    (local.set $socket (i32.load (i32.const 660)))
    (call $start-connect (local.get $socket) (call $network) (i32.const 0) (local.get $port) (i32.const 127) (i32.const 0)
      (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 656))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 657))))))
    (call $block (call $socket-subscribe (local.get $socket)))
    (call $finish-connect (local.get $socket) (i32.const 656))
    (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 660))))))
    (call $stream-read (i32.load (i32.const 660)) (i64.const 100) (i32.const 656))
    (if (i32.load8_u (i32.const 656)) (then unreachable))
    (call $fail (i32.load (i32.const 660)) (i32.load (i32.const 664))))
"#;

/// WASI's numbers of errors that the tests speak of.
pub(crate) mod code {
    pub(crate) const FILE_NOT_PERMITTED: f64 = 31.0;
    pub(crate) const SOCKET_DENIED: f64 = 1.0;
}
