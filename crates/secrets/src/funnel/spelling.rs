//! How programs spell a value.

use super::view::View;
use base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD, URL_SAFE},
    engine::general_purpose::{GeneralPurpose, NO_PAD},
};

/// All spellings of a value that no [`View`] undoes, each once.
pub(super) fn of(value: &str) -> Vec<Vec<u8>> {
    let bytes = value.as_bytes();
    let mut spellings: Vec<Vec<u8>> = View::all(bytes)
        .iter()
        .map(|view| view.bytes().to_vec())
        .filter(|read| read.len() >= super::Funnel::SHORTEST)
        .collect();
    spellings.push(bytes.to_vec());
    spellings.push(value.replace(' ', "+").into_bytes());
    for alphabet in [&STANDARD, &URL_SAFE] {
        spellings.extend((0..3).map(|before| base64(bytes, before, alphabet)));
    }
    spellings.push(hex(bytes, b"0123456789abcdef"));
    spellings.push(hex(bytes, b"0123456789ABCDEF"));
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

/// What is always the same of a value's base64 when `before` bytes (modulo three) stand before it, and anything behind it.
fn base64(bytes: &[u8], before: usize, alphabet: &Alphabet) -> Vec<u8> {
    let mut padded = vec![0; before];
    padded.extend_from_slice(bytes);
    let encoded = GeneralPurpose::new(alphabet, NO_PAD).encode(&padded);
    // Six bits a digit; those that share bits with a neighbour differ.
    let (first, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    encoded.as_bytes()[first..end].to_vec()
}

fn hex(bytes: &[u8], digits: &[u8; 16]) -> Vec<u8> {
    let digit = |nibble: u8| digits[usize::from(nibble)];
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
