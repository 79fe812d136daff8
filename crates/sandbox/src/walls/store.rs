//! Memory for what a forked process needs before it executes: one shared mapping, which outlives the shedding of the copied
//! heap and is never copied by a further fork.

use std::ffi::{CStr, c_char};
use std::io;

/// Room for it all; pages that are not used cost nothing.
const ROOM: usize = 1 << 20;

/// A place that is filled from front to back and never moved.
#[derive(Debug)]
pub(crate) struct Shelf {
    memory: *mut u8,
    used: usize,
}

// SAFETY: the mapping is owned by this value and freed with it.
unsafe impl Send for Shelf {}

impl Shelf {
    pub(crate) fn new() -> io::Result<Self> {
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a fresh anonymous mapping; the result is checked.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), ROOM, access, kind, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            memory: memory.cast(),
            used: 0,
        })
    }

    /// A copy of the items, at an address that every copy of this process shares.
    pub(crate) fn keep<T: Copy>(&mut self, items: &[T]) -> io::Result<Kept<T>> {
        let start = self.used.next_multiple_of(align_of::<T>());
        let end = start + size_of_val(items);
        if end > ROOM {
            return Err(io::Error::other("the profile names too many places"));
        }
        self.used = end;
        // SAFETY: the range lies within the mapping, is aligned for `T`, and was handed out to nobody else.
        unsafe {
            let first = self.memory.add(start).cast::<T>();
            first.copy_from_nonoverlapping(items.as_ptr(), items.len());
            Ok(Kept {
                first,
                count: items.len(),
            })
        }
    }

    pub(crate) fn keep_text(&mut self, text: &CStr) -> io::Result<Text> {
        self.keep(text.to_bytes_with_nul()).map(|kept| Text(kept.first.cast()))
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` mapped.
        unsafe { libc::munmap(self.memory.cast(), ROOM) };
    }
}

/// Items on a shelf. Only to be read while the shelf, or a copy of the process that made it, is there.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    first: *const T,
    count: usize,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Kept<T> {}

// SAFETY: plain addresses of memory nobody writes any more; the shelf is kept until the fork is over.
unsafe impl<T: Send> Send for Kept<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Kept<T> {}

impl<T> Kept<T> {
    pub(crate) fn items(&self) -> &[T] {
        // SAFETY: written whole by `keep`; see the type for how long it lasts.
        unsafe { std::slice::from_raw_parts(self.first, self.count) }
    }
}

/// A text on a shelf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text(*const c_char);

// SAFETY: as for `Kept`.
unsafe impl Send for Text {}
// SAFETY: as for `Kept`.
unsafe impl Sync for Text {}

impl Text {
    pub(crate) fn as_c_str(&self) -> &CStr {
        // SAFETY: NUL-terminated by `keep_text`; see `Kept` for how long it lasts.
        unsafe { CStr::from_ptr(self.0) }
    }
}
