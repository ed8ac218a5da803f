//! Whole-system flows, each named after what it shows. Every flow starts a world of its own
//! (see `wardpost_tests`): real servers on loopback, and the program that was just built.

mod in_01_cleartext_is_refused;
mod in_02_postfix_delivers_and_imap_reads;
mod in_03_strangers_may_not_relay_or_guess;
mod in_04_bad_input_harms_nothing;
mod lab_00_postfix_takes_mail_over_tls;
mod out_01_verified_tls_delivers;
mod out_02_no_tls_goes_to_pickup;
mod pickup;
mod rest_01_nothing_readable_at_rest;
