//! What a plugin may reach outside of its sandbox.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use crate::{Error, Result};

/// What one plugin is given beyond what every plugin has. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories, with all that is in them. Symbolic links do not lead out of them.
    pub directories: Vec<GrantedDirectory>,
    /// Names of environment variables. Their values are those of this process when an instance starts.
    pub environment: Vec<String>,
    /// `host:port` that TCP connections may go to. A name stands for the addresses that it has when an instance starts.
    pub hosts: Vec<String>,
    /// Instead of [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    pub memory_bytes: Option<u64>,
    /// Instead of [`Limits::call_time`](crate::Limits::call_time).
    pub call_time: Option<Duration>,
}

/// A directory that a plugin may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedDirectory {
    /// Where it is.
    pub host: PathBuf,
    /// What the plugin calls it.
    pub guest: String,
    /// What may be done in it.
    pub access: Access,
}

/// What may be done in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading and listing.
    Read,
    /// Reading, writing, creating and removing.
    Write,
}

/// A way out of the sandbox that needs a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// [`Grants::directories`].
    Directories,
    /// [`Grants::environment`].
    Environment,
    /// [`Grants::hosts`].
    Hosts,
}

/// Each want with the interfaces that speak of it, its name, and a grant of it after the plugin's name.
const WANTS: [(Want, &str, &str, &str); 3] = [
    (Want::Directories, "wasi:filesystem/", "directories", "read=DIRECTORY"),
    (Want::Environment, "wasi:cli/environment@", "environment variables", "env=NAME"),
    (Want::Hosts, "wasi:sockets/", "hosts", "hosts=HOST:PORT"),
];

impl Want {
    /// What a component may want, by what it imports. Runtimes of languages import more than their programs use.
    pub(crate) fn of(imports: &[String]) -> Vec<Self> {
        let wanted =
            WANTS.iter().filter(|(_, prefix, ..)| imports.iter().any(|name| name.starts_with(prefix)));
        wanted.map(|(want, ..)| *want).collect()
    }

    fn entry(self) -> (Self, &'static str, &'static str, &'static str) {
        // The table has every want, in the order of the enum.
        WANTS.get(self as usize).copied().unwrap_or((self, "", "", ""))
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().2)
    }
}

/// Something that a plugin asked WASI for and was not granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// What it asked for.
    pub want: Want,
    /// Which one, where WASI is told: `host:port`.
    pub which: Option<String>,
}

impl Denial {
    /// The grant that is missing, as the end of a hint.
    pub(crate) fn hint(&self, plugin: &str) -> String {
        let (_, _, wanted, grant) = self.want.entry();
        match &self.which {
            Some(host) => format!("it wanted `{host}`, which `--grant '{plugin}.hosts={host}'` grants"),
            None => format!("if it needs {wanted}, `--grant '{plugin}.{grant}'` grants one"),
        }
    }
}

/// What an instance was denied so far.
#[derive(Clone, Default)]
pub(crate) struct Denials(Arc<Mutex<BTreeSet<Denial>>>);

impl Denials {
    /// Of these, the first are kept: a plugin may ask for ever.
    const KEPT: usize = 4;

    pub(crate) fn add(&self, want: Want, which: Option<String>) {
        let mut denials = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if denials.len() < Self::KEPT {
            denials.insert(Denial { want, which });
        }
    }

    pub(crate) fn all(&self) -> Vec<Denial> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Grants {
    /// The names, without ports, that a plugin may look up.
    pub(crate) fn allows_name(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| {
            let granted = host.rsplit_once(':').map_or(host.as_str(), |(granted, _)| granted);
            granted.trim_start_matches('[').trim_end_matches(']') == name
        })
    }

    /// Opens what was granted.
    pub(crate) fn open(&self, plugin: &str, builder: &mut WasiCtxBuilder, denials: &Denials) -> Result<()> {
        let refused = |grant: String, cause: String| Error::Grant { plugin: plugin.to_owned(), grant, cause };
        for directory in &self.directories {
            let permissions = match directory.access {
                Access::Read => FsPerms::ReadOnly,
                Access::Write => FsPerms::ReadWrite,
            };
            let opened = builder.preopened_dir(&directory.host, &directory.guest, permissions);
            opened.map_err(|error| {
                refused(
                    format!("the directory `{}`", directory.host.display()),
                    error.root_cause().to_string(),
                )
            })?;
        }
        for name in &self.environment {
            let value = std::env::var(name)
                .map_err(|error| refused(format!("the environment variable `{name}`"), error.to_string()))?;
            builder.env(name, value);
        }
        let mut addresses: BTreeSet<(IpAddr, u16)> = BTreeSet::new();
        for host in &self.hosts {
            let found = host
                .to_socket_addrs()
                .map_err(|error| refused(format!("the host `{host}`"), error.to_string()))?;
            addresses.extend(found.map(|address| (address.ip(), address.port())));
        }
        let any = !addresses.is_empty();
        builder.allow_tcp(any).allow_udp(false).allow_ip_name_lookup(any);
        let denials = denials.clone();
        builder.socket_addr_check(move |address, purpose| {
            let allowed = allows(&addresses, address, purpose);
            if !allowed {
                denials.add(Want::Hosts, Some(address.to_string()));
            }
            Box::pin(std::future::ready(allowed))
        });
        Ok(())
    }
}

/// Whether a socket may be put to this use: it may connect, from whatever local address the system chooses.
fn allows(granted: &BTreeSet<(IpAddr, u16)>, address: SocketAddr, purpose: SocketAddrUse) -> bool {
    match purpose {
        SocketAddrUse::TcpConnect => granted.contains(&(address.ip(), address.port())),
        SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_want_is_at_its_place_in_the_table() {
        for (place, (want, ..)) in WANTS.iter().enumerate() {
            assert_eq!(*want as usize, place);
        }
    }

    #[test]
    fn wants_follow_from_imports() {
        let imports = ["swift:plugin/tensor@0.1.0", "wasi:cli/environment@0.2.6", "wasi:sockets/tcp@0.2.0"];
        assert_eq!(Want::of(&imports.map(str::to_owned)), [Want::Environment, Want::Hosts]);
        assert_eq!(Want::of(&["wasi:cli/stderr@0.2.6".to_owned()]), []);
    }

    #[test]
    fn sockets_connect_to_what_was_granted_and_do_nothing_else() {
        let granted = BTreeSet::from([("127.0.0.1".parse().unwrap(), 80)]);
        let allows = |address: &str, purpose| allows(&granted, address.parse().unwrap(), purpose);
        assert!(allows("127.0.0.1:80", SocketAddrUse::TcpConnect));
        assert!(!allows("127.0.0.1:81", SocketAddrUse::TcpConnect));
        assert!(!allows("127.0.0.2:80", SocketAddrUse::TcpConnect));
        assert!(allows("0.0.0.0:0", SocketAddrUse::TcpBind));
        assert!(!allows("0.0.0.0:80", SocketAddrUse::TcpBind));
        assert!(!allows("127.0.0.1:80", SocketAddrUse::TcpListen));
        assert!(!allows("127.0.0.1:80", SocketAddrUse::UdpSend));
    }

    #[test]
    fn names_of_granted_hosts_may_be_looked_up() {
        let grants = Grants { hosts: vec!["localhost:80".into(), "[::1]:80".into()], ..Grants::default() };
        assert!(grants.allows_name("localhost") && grants.allows_name("::1"));
        assert!(!grants.allows_name("example.com") && !grants.allows_name("localhost:80"));
    }
}
