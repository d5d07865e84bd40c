//! The fuzz targets, run by a coverage-guided fuzzer: `just fuzz TARGET SECONDS`.
//!
//! What a target does stands with the tests, which run it too: `tracker/tests/hostile/`, `tests/bytes/`.

#[path = "../../tests/bytes/frames.rs"]
pub mod frames;
#[path = "../../tracker/tests/hostile/mod.rs"]
pub mod hostile;

/// Makes a fuzz target of a function that takes bytes and panics where something is wrong.
///
/// The fuzzer ends at any panic. The code under test has panic barriers, so only what gets past
/// those may count: the hook that ends it is taken off, and what unwinds out of the target does.
#[macro_export]
macro_rules! target {
    ($run:path) => {
        libfuzzer_sys::fuzz_target!(
            init: {
                std::panic::set_hook(Box::new($crate::report));
            },
            |data: &[u8]| {
                $run(data);
            }
        );
    };
}

/// Tells of a panic in a target; those of libraries are what the barriers are for.
pub fn report(info: &std::panic::PanicHookInfo<'_>) {
    let is_ours = |file: &str| !file.contains(".cargo/registry");
    if info.location().is_none_or(|location| is_ours(location.file())) {
        eprintln!("{info}");
    }
}
