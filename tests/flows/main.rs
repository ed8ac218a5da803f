//! Whole-system flows, each named after what it shows. Every flow starts a world of its own
//! (see `wardpost_tests`): real servers on loopback, and the program that was just built.

mod lab_00_postfix_takes_mail_over_tls;
