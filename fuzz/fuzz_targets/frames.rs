#![no_main]

x0x_fuzz::target!(x0x_fuzz::frames::run);
