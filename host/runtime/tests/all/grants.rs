//! What was granted can be used, and nothing beside it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Map;
use swift_runtime::{
    Access, Breach, Error, GrantedDirectory, Grants, Limits, LossPlugin, Plugin, Result, Want,
};

use crate::support::{Guest, compute, error, load, message, string, value, wasi};

/// A loss that uses WASI.
fn plugin(compute: &str) -> Plugin {
    let guest = Guest::loss(compute).importing(wasi::PACKAGES, wasi::IMPORTS, wasi::CORE);
    load(&guest.encode()).unwrap()
}

fn start(compute: &str, grants: &Grants) -> Result<LossPlugin> {
    plugin(compute).loss(&Map::new(), &Limits::default().granting(grants))
}

fn loss(compute: &str, grants: &Grants) -> LossPlugin {
    start(compute, grants).unwrap()
}

/// The words of a plugin that fails, for what it read.
fn told(compute_text: &str, grants: &Grants) -> String {
    let text = message(compute(&mut loss(compute_text, grants)));
    text.strip_prefix("The plugin `hostile` failed in `compute`: ").unwrap().to_owned()
}

/// The number of WASI's error.
fn refused(compute_text: &str, grants: &Grants) -> f64 {
    value(&compute(&mut loss(compute_text, grants)).unwrap())
}

fn tell_file(path: &str) -> String {
    format!("(call $tell-file {})", string(path))
}

/// A granted directory with a file, a file outside of it, and a link to that one.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let granted = folder.path().join("granted");
        std::fs::create_dir(&granted).unwrap();
        std::fs::write(granted.join("inside.txt"), "what is inside").unwrap();
        std::fs::write(folder.path().join("outside.txt"), "what is outside").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("outside.txt"), granted.join("link.txt")).unwrap();
        Self { folder }
    }

    fn granted(&self) -> std::path::PathBuf {
        self.folder.path().join("granted")
    }

    fn grant(&self, access: Access) -> Grants {
        grant(&self.granted(), access)
    }
}

fn grant(host: &Path, access: Access) -> Grants {
    let directory = GrantedDirectory { host: host.to_owned(), guest: "/data".into(), access };
    Grants { directories: vec![directory], ..Grants::default() }
}

#[test]
fn a_file_in_a_granted_directory_can_be_read() {
    let files = Files::new();
    assert_eq!(told(&tell_file("inside.txt"), &files.grant(Access::Read)), "what is inside");
}

#[test]
fn nothing_outside_of_a_granted_directory_can_be_read() {
    let files = Files::new();
    for path in ["../outside.txt", "/etc/hostname", "link.txt"] {
        for access in [Access::Read, Access::Write] {
            let refused = refused(&tell_file(path), &files.grant(access));
            assert_eq!(refused, wasi::code::FILE_NOT_PERMITTED, "{path}");
        }
    }
}

#[test]
fn a_directory_that_may_be_read_can_not_be_written() {
    let files = Files::new();
    for path in ["inside.txt", "new.txt"] {
        let write = format!("(call $write-file {})", string(path));
        assert_eq!(refused(&write, &files.grant(Access::Read)), wasi::code::FILE_NOT_PERMITTED, "{path}");
    }
    assert_eq!(std::fs::read_to_string(files.granted().join("inside.txt")).unwrap(), "what is inside");
    assert!(!files.granted().join("new.txt").exists());
}

#[test]
fn a_directory_that_may_be_written_can_be_and_what_lies_outside_of_it_can_not() {
    let files = Files::new();
    let grants = files.grant(Access::Write);
    assert_eq!(refused(&format!("(call $write-file {})", string("new.txt")), &grants), -1.0);
    assert_eq!(std::fs::read_to_string(files.granted().join("new.txt")).unwrap(), "new.txt");
    assert_eq!(told(&tell_file("inside.txt"), &grants), "what is inside");
    for path in ["../outside.txt", "link.txt"] {
        let write = format!("(call $write-file {})", string(path));
        assert_eq!(refused(&write, &grants), wasi::code::FILE_NOT_PERMITTED, "{path}");
    }
    assert_eq!(std::fs::read_to_string(files.folder.path().join("outside.txt")).unwrap(), "what is outside");
}

#[test]
fn of_the_environment_a_plugin_sees_the_named_variables_only() {
    // The number of variables, unless it is 1: then the value of that one.
    let tell = "(call $environment (i32.const 640))
        (if (i32.ne (i32.load (i32.const 644)) (i32.const 1)) (then (return (call $code (i32.load (i32.const 644))))))
        (call $fail (i32.load offset=8 (i32.load (i32.const 640))) (i32.load offset=12 (i32.load (i32.const 640))))";
    assert_eq!(refused(tell, &Grants::default()), 0.0);
    let named = Grants { environment: vec!["CARGO_PKG_NAME".into()], ..Grants::default() };
    assert_eq!(told(tell, &named), "swift-runtime");
}

/// Listens on a free port and greets whoever comes.
fn greeter() -> (u16, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"good morning").unwrap();
    });
    (port, thread)
}

fn host(port: u16) -> Grants {
    Grants { hosts: vec![format!("127.0.0.1:{port}")], ..Grants::default() }
}

fn tell_port(port: u16) -> String {
    format!("(call $tell-port (i32.const {port}))")
}

#[test]
fn a_granted_host_can_be_reached() {
    let (port, thread) = greeter();
    assert_eq!(told(&tell_port(port), &host(port)), "good morning");
    thread.join().unwrap();
}

#[test]
fn another_port_of_a_granted_host_can_not_be_reached() {
    let (port, thread) = greeter();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let grants = host(other.local_addr().unwrap().port());
    // The answer comes when the connection is complete, which it never was.
    assert_eq!(refused(&tell_port(port), &grants), wasi::code::SOCKET_DENIED);
    let mut own = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut greeting = String::new();
    own.read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "good morning", "the plugin took the place of the one who is greeted");
    thread.join().unwrap();
}

#[test]
fn only_names_of_granted_hosts_are_looked_up() {
    let look_up = |name| {
        format!(
            "(call $resolve (call $network) {} (i32.const 656))
             (if (i32.load8_u (i32.const 656)) (then (return (call $code (i32.load8_u (i32.const 660))))))
             (call $code (i32.const 99))",
            string(name)
        )
    };
    let grants = Grants { hosts: vec!["localhost:80".into()], ..Grants::default() };
    assert_eq!(refused(&look_up("localhost"), &grants), 99.0);
    assert_eq!(refused(&look_up("example.com"), &grants), wasi::code::SOCKET_DENIED);
    assert_eq!(refused(&look_up("localhost"), &Grants::default()), wasi::code::SOCKET_DENIED);
}

#[test]
fn a_host_that_never_answers_costs_no_more_than_the_time_of_a_call() {
    // It is connected by the system, and nobody ever writes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let grants = Grants { call_time: Some(Duration::from_millis(50)), ..host(port) };
    let mut loss = loss(&tell_port(port), &grants);
    for _ in 0..2 {
        let text = message(compute(&mut loss));
        assert_eq!(text, "The plugin `hostile` was stopped in `compute`: it ran for more than 0.05 seconds");
    }
}

#[test]
fn memory_and_time_may_be_other_than_those_of_all() {
    let grants = Grants { memory_bytes: Some(1 << 20), ..Grants::default() };
    let grow = "(loop $more (drop (memory.grow (i32.const 1))) (br $more)) unreachable";
    assert!(matches!(
        error(compute(&mut loss(grow, &grants))),
        Error::Limit { breach: Breach::Memory(1_048_576), .. }
    ));
    let grants = Grants { call_time: Some(Duration::from_millis(30)), ..Grants::default() };
    let wait = "(loop $for-ever (br $for-ever)) unreachable";
    let Error::Limit { breach, .. } = error(compute(&mut loss(wait, &grants))) else { panic!() };
    assert_eq!(breach, Breach::Time(Duration::from_millis(30)));
}

#[test]
fn a_grant_that_leads_nowhere_is_named_at_once() {
    let scalar = crate::support::SCALAR;
    let grants = [
        (grant(Path::new("no/such/folder"), Access::Read), "the directory `no/such/folder`: "),
        (
            Grants { environment: vec!["NO_SUCH_VARIABLE".into()], ..Grants::default() },
            "the environment variable `NO_SUCH_VARIABLE`: environment variable not found",
        ),
        (Grants { hosts: vec!["127.0.0.1".into()], ..Grants::default() }, "the host `127.0.0.1`: "),
    ];
    for (grants, end) in grants {
        let text = message(start(scalar, &grants));
        assert!(text.starts_with(&format!("The plugin `hostile` can't be granted {end}")), "{text}");
    }
}

#[test]
fn who_fails_without_a_grant_is_told_which_after_what_is_said_of_every_failure() {
    let hint = |text: &str, grants: &Grants| error(compute(&mut loss(text, grants))).hint().unwrap();
    let nothing = Grants::default();
    assert_eq!(
        hint(&tell_file("inside.txt"), &nothing),
        "this is a mistake in the plugin; log lines of the level `debug` show where it came from; \
         if it needs directories, `--grant 'hostile.read=DIRECTORY'` grants one"
    );
    let environment = "(call $environment (i32.const 640)) unreachable";
    assert_eq!(
        hint(environment, &nothing),
        "this is a mistake in the plugin; log lines of the level `debug` show where it came from; \
         if it needs environment variables, `--grant 'hostile.env=NAME'` grants one"
    );
    let connect = format!("(drop {}) unreachable", tell_port(9));
    assert_eq!(
        hint(&connect, &host(10)),
        "it wanted `127.0.0.1:9`, which `--grant 'hostile.hosts=127.0.0.1:9'` grants"
    );
    let both = format!("(call $environment (i32.const 640)) (drop {}) unreachable", tell_port(9));
    assert_eq!(
        hint(&both, &host(10)),
        "it wanted `127.0.0.1:9`, which `--grant 'hostile.hosts=127.0.0.1:9'` grants; \
         if it needs environment variables, `--grant 'hostile.env=NAME'` grants one"
    );
    let mistake = "this is a mistake in the plugin; log lines of the level `debug` show where it came from";
    assert_eq!(hint("unreachable", &nothing), mistake);
}

#[test]
fn an_interpreter_that_reads_the_environment_when_it_starts_wants_none_of_it() {
    let starting = Guest::loss("unreachable")
        .importing(wasi::PACKAGES, wasi::IMPORTS, wasi::CORE)
        .configuring("(call $environment (i32.const 640))");
    let limits = Limits::default().granting(&Grants::default());
    let mut loss = load(&starting.encode()).unwrap().loss(&Map::new(), &limits).unwrap();
    let hint = error(compute(&mut loss)).hint().unwrap();
    assert_eq!(
        hint,
        "this is a mistake in the plugin; log lines of the level `debug` show where it came from"
    );
}

#[test]
fn what_a_plugin_wants_follows_from_its_imports() {
    let scalar = crate::support::SCALAR;
    assert_eq!(load(&Guest::loss(scalar).encode()).unwrap().wants(), []);
    assert_eq!(plugin(scalar).wants(), [Want::Directories, Want::Environment, Want::Hosts]);
}
