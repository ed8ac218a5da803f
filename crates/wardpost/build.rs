//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The addresses that the loader fills in, as a compact table: 1.6 MB less to read and to keep.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
}
