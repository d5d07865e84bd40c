//! What every decoder of foreign bytes must do, whatever the bytes: one function for each, which
//! panics where it does not. The tests run them over committed and mutated inputs, the fuzzer in
//! `fuzz/` over whatever it finds.

#![allow(dead_code, reason = "each binary uses a part")]

pub mod change;
pub mod commit;
pub mod document;
pub mod lines;
pub mod merge;
pub mod mutate;
pub mod seeds;
pub mod stream;
