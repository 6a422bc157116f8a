//! As much of WASI as is needed to read a file and a variable.

use wasi::cli::environment::get_environment;
use wasi::filesystem::preopens::get_directories;
use wasi::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

wit_bindgen::generate!({
    inline: "
        package test:granted;

        world imports {
            import wasi:cli/environment@0.2.6;
            import wasi:filesystem/types@0.2.6;
            import wasi:filesystem/preopens@0.2.6;
        }

        package wasi:cli@0.2.6 {
            interface environment {
                get-environment: func() -> list<tuple<string, string>>;
            }
        }

        package wasi:filesystem@0.2.6 {
            interface types {
                enum error-code {
                    access, would-block, already, bad-descriptor, busy, deadlock, quota, exist, file-too-large,
                    illegal-byte-sequence, in-progress, interrupted, invalid, io, is-directory, loop, too-many-links,
                    message-size, name-too-long, no-device, no-entry, no-lock, insufficient-memory, insufficient-space,
                    not-directory, not-empty, not-recoverable, unsupported, no-tty, no-such-device, overflow,
                    not-permitted, pipe, read-only, invalid-seek, text-file-busy, cross-device,
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
                }
            }
            interface preopens {
                use types.{descriptor};
                get-directories: func() -> list<tuple<descriptor, string>>;
            }
        }
    ",
    generate_all,
});

/// The text of a short file in the first directory.
pub(crate) fn read(name: &str) -> Option<String> {
    let directories = get_directories();
    let (directory, _) = directories.first()?;
    let file = directory.open_at(PathFlags::empty(), name, OpenFlags::empty(), DescriptorFlags::READ).ok()?;
    let (bytes, _) = file.read(1000, 0).ok()?;
    String::from_utf8(bytes).ok()
}

/// The value of a variable.
pub(crate) fn variable(name: &str) -> Option<String> {
    get_environment().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}
