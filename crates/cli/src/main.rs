//! The program `maestria`.

fn main() {}
