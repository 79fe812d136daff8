//! What the worker's exec needs, in one shared mapping of its own: it outlives the shedding of the copied heap.

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

/// Program, arguments and environment, laid out for execve.
#[derive(Debug)]
pub(crate) struct Parcel {
    memory: *mut c_char,
    length: usize,
    /// Offsets, in pointers, of the argument and environment lists from the start of the mapping.
    arguments: usize,
    environment: usize,
}

impl Parcel {
    /// Lays out `program`, `arguments` (the first is the program's own name) and `environment` (`NAME=value`).
    ///
    /// # Errors
    /// `InvalidInput` for a zero byte in any of them, or the system's refusal of memory.
    pub(crate) fn pack(program: &OsStr, arguments: &[&OsStr], environment: &[CString]) -> io::Result<Self> {
        let program = CString::new(program.as_bytes())?;
        let arguments = arguments
            .iter()
            .map(|text| CString::new(text.as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        let texts = || std::iter::once(&program).chain(&arguments).chain(environment);
        // The program, and two lists with a null each.
        let pointers = 1 + arguments.len() + 1 + environment.len() + 1;
        let bytes: usize = texts().map(|text| text.as_bytes_with_nul().len()).sum();
        let length = pointers * size_of::<*const c_char>() + bytes;
        let parcel = Self {
            memory: map(length)?,
            length,
            arguments: 1,
            environment: 1 + arguments.len() + 1,
        };
        let slots = parcel.memory.cast::<*const c_char>();
        // SAFETY: pointers and then strings fill exactly the `length` bytes of the fresh, zeroed mapping.
        unsafe {
            let mut place = slots.add(pointers).cast::<u8>();
            for (index, text) in texts().enumerate() {
                let text = text.as_bytes_with_nul();
                // The environment comes one later: the zeroed slot between is the end of the arguments.
                slots
                    .add(index + usize::from(index > arguments.len()))
                    .write(place.cast());
                place.copy_from_nonoverlapping(text.as_ptr(), text.len());
                place = place.add(text.len());
            }
        }
        Ok(parcel)
    }

    /// The addresses of all of it, valid as long as the parcel, in every copy of this process.
    pub(crate) fn label(&self) -> Label {
        // SAFETY: offsets lie within the mapping; the first slot holds the program.
        unsafe {
            let slots = self.memory.cast::<*const c_char>();
            Label {
                program: *slots,
                arguments: slots.add(self.arguments),
                environment: slots.add(self.environment),
            }
        }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `pack` mapped.
        unsafe { libc::munmap(self.memory.cast(), self.length) };
    }
}

/// A shared mapping: a fork does not copy its pages, and shedding leaves it alone.
fn map(length: usize) -> io::Result<*mut c_char> {
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a fresh anonymous mapping; the result is checked.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
    if memory == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(memory.cast())
    }
}

/// Where in memory a parcel's parts are.
#[derive(Clone, Copy)]
pub(crate) struct Label {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
}

// SAFETY: plain addresses of memory nobody writes any more; the parcel is kept until the fork is over.
unsafe impl Send for Label {}
// SAFETY: as above.
unsafe impl Sync for Label {}

impl Label {
    /// How many variables the program will be given.
    pub(crate) fn variables(&self) -> usize {
        // SAFETY: a null-terminated list made by `pack`.
        (0..)
            .take_while(|index| unsafe { !(*self.environment.add(*index)).is_null() })
            .count()
    }

    /// Becomes the program; returns only the reason why not.
    pub(crate) fn execute(&self) -> crate::raw::Errno {
        // SAFETY: NUL-terminated strings and null-terminated lists made by `pack`.
        unsafe { libc::execve(self.program, self.arguments, self.environment) };
        crate::raw::errno()
    }
}
