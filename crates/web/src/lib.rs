//! The dashboard, as files to serve.
//!
//! What it is for: the built pages of `ui/` are committed in `dist/` and embedded here, so that building Maestria needs
//! no node and a server needs no folder beside it. [`find`] answers with a file for the path of a request.
//!
//! What it must never do: speak HTTP, read a disk, or depend on another crate of ours. What the pages show comes from
//! `/api/v1`; `docs/api.md` is the contract.
//!
//! Where to start reading: [`find`]; for the pages, `ui/src/main.ts`.

use std::sync::OnceLock;

/// What a page may load and do: its own files and its own server, nothing inline, nothing in a frame.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

/// A file of the dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path on the server.
    pub path: &'static str,
    /// Its `content-type`.
    pub content_type: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its strong `etag`, quotes included. Names do not change from build to build, so it must be asked for each time.
    pub etag: String,
}

macro_rules! files {
    ($( $name:literal $content_type:literal )*) => {
        const FILES: &[(&str, &str, &[u8])] =
            &[$( (concat!("/", $name), $content_type, include_bytes!(concat!("../dist/", $name))) ),*];
    };
}

files! {
    "index.html" "text/html; charset=utf-8"
    "app.js" "text/javascript; charset=utf-8"
    "app.css" "text/css; charset=utf-8"
    "scheme.js" "text/javascript; charset=utf-8"
    "icon.svg" "image/svg+xml"
    "inter-latin-wght-normal.woff2" "font/woff2"
    "jetbrains-mono-latin-wght-normal.woff2" "font/woff2"
}

/// All files.
pub fn files() -> &'static [File] {
    static TABLE: OnceLock<Vec<File>> = OnceLock::new();
    TABLE.get_or_init(|| {
        FILES
            .iter()
            .map(|&(path, kind, bytes)| file(path, kind, bytes))
            .collect()
    })
}

/// The file for a request's path (without query). Pages of the dashboard have addresses of their own and are all the
/// one `index.html`: so is every path whose last part has no dot. `None`: there is no such file.
pub fn find(path: &str) -> Option<&'static File> {
    let last = path.rsplit('/').next().unwrap_or_default();
    let wanted = if last.contains('.') { path } else { "/index.html" };
    files().iter().find(|file| file.path == wanted)
}

fn file(path: &'static str, content_type: &'static str, bytes: &'static [u8]) -> File {
    File {
        path,
        content_type,
        bytes,
        etag: format!("\"{:016x}\"", fingerprint(bytes)),
    }
}

/// FNV-1a. Tells builds apart; nobody attacks it, since whoever could change the files could change the program.
fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests;
