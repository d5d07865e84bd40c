#![no_main]

#[path = "../../cli/src/resolve/hostile.rs"]
mod hostile;
#[path = "../../cli/src/resolve/spelled.rs"]
#[allow(dead_code, reason = "the program uses the rest")]
mod spelled;

x0x_fuzz::target!(hostile::run);
