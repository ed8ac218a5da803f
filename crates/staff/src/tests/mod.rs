//! The pages as a browser meets them, on a real store and directory.

mod admin;
mod devices;
mod house;
mod people;
mod signing;
