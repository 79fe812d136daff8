//! What the program prints. A reader that has gone (`maestria runs | head`) is no failure and no reason to stop a run;
//! a disk that is full is a failure, and the exit code says so.

use std::{
    fmt,
    io::{self, Write as _},
    sync::OnceLock,
};

/// Why nothing can be printed any more.
static BROKEN: OnceLock<io::Error> = OnceLock::new();

/// Prints a line to stdout. In this crate it takes the place of the standard one, which panics when it cannot print.
macro_rules! println {
    ($($arg:tt)*) => { $crate::out::line(format_args!($($arg)*)) };
}

/// Prints a line to stderr; when that is not possible there is nobody to tell.
macro_rules! eprintln {
    ($($arg:tt)*) => { $crate::out::complain(format_args!($($arg)*)) };
}

/// See [`println`].
pub(crate) fn line(text: fmt::Arguments<'_>) {
    write(|out| out.write_fmt(text).and_then(|()| out.write_all(b"\n")));
}

/// Prints a piece of a text; whether more of it is wanted.
pub(crate) fn bytes(piece: &[u8]) -> bool {
    write(|out| out.write_all(piece));
    !is_broken()
}

fn write(write: impl FnOnce(&mut io::StdoutLock<'_>) -> io::Result<()>) {
    if is_broken() {
        return;
    }
    if let Err(error) = write(&mut io::stdout().lock()) {
        // Only the first reason is kept.
        let _ = BROKEN.set(error);
    }
}

/// See [`eprintln`].
pub(crate) fn complain(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    let mut err = io::stderr().lock();
    // What only looks like a secret may be meant for the person: the link to the dashboard.
    let cleaned = maestria_secrets::funnel().clean_known(text.as_bytes()).into_owned();
    let _ = err.write_all(&cleaned).and_then(|()| err.write_all(b"\n"));
}

/// Whether what is printed reaches nobody any more.
pub(crate) fn is_broken() -> bool {
    BROKEN.get().is_some()
}

/// Writes out what is still held back; the error if something could not be printed, unless the reader wanted no more.
pub(crate) fn finish() -> Option<String> {
    if let Err(error) = io::stdout().flush() {
        let _ = BROKEN.set(error);
    }
    BROKEN
        .get()
        .filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
        .map(|error| format!("cannot print: {error}"))
}
