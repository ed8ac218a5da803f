//! Gathering what the judge of the box's health must know.
