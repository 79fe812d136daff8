//! All sixteen pairs: requests and answers kept as files, and everything read back from what was written.

mod answers;
mod pairs;
mod requests;
