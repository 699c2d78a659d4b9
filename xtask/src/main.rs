//! Build, run and test ftp-helper.
fn main() {}
