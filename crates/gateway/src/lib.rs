//! Model calls: a thin streaming client for every provider dialect behind the kernel port.
