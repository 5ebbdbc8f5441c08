//! isocost.
fn main() {}
