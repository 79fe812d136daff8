//! Lets go of the memory a fork copied: further forks would copy it again, and a guard, which lives as long as its worker,
//! would pin old pages of the whole product.

use std::ops::Range;

use crate::raw;

/// Smaller mappings are not worth a call, and hold the data sections libc itself needs.
const WORTH: usize = 256 * 1024;

/// Drops the contents of heap and large anonymous mappings, except the stack in use and this thread's own data.
///
/// After this nothing on the heap may be read: not the environment, not std's own exec arguments.
pub(super) fn copied_memory() {
    let Ok(maps) = raw::open(libc::AT_FDCWD, c"/proc/self/maps", libc::O_RDONLY) else {
        return;
    };
    let mut buffer = [0_u8; 4096];
    let mut filled = 0;
    // SAFETY: returns this thread's errno address; only the number is used.
    let kept = [(&raw const buffer).addr(), unsafe { libc::__errno_location() }.addr()];
    while let Ok(count) = raw::read(maps, &mut buffer[filled..]) {
        if count == 0 {
            break;
        }
        filled += count;
        let mut done = 0;
        while let Some(length) = buffer[done..filled].iter().position(|byte| *byte == b'\n') {
            if let Some(range) = private_heap(&buffer[done..done + length])
                && !kept.iter().any(|address| range.contains(address))
            {
                // SAFETY: an existing anonymous mapping that holds neither our stack nor our thread data; nothing
                // on the way to the worker reads the heap again.
                unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) };
            }
            done += length + 1;
        }
        buffer.copy_within(done..filled, 0);
        filled -= done;
    }
    raw::close(maps);
}

/// The address range of a line of `/proc/self/maps` that describes copied heap.
fn private_heap(line: &[u8]) -> Option<Range<usize>> {
    let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    let (range, access, _offset, _device, inode) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    let name = fields.next().unwrap_or_default();
    if access != b"rw-p" || inode != b"0" || !(name.is_empty() || name == b"[heap]" || name.starts_with(b"[anon:")) {
        return None;
    }
    let dash = range.iter().position(|byte| *byte == b'-')?;
    let (start, end) = (address(&range[..dash])?, address(&range[dash + 1..])?);
    (name == b"[heap]" || end - start >= WORTH).then_some(start..end)
}

fn address(hex: &[u8]) -> Option<usize> {
    hex.iter().try_fold(0_usize, |sum, byte| {
        Some((sum << 4) | (*byte as char).to_digit(16)? as usize)
    })
}

#[cfg(test)]
mod tests;
