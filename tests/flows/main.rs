//! Whole-system flows, each named after what it shows. Every flow starts a world of its own
//! (see `wardpost_tests`): real servers on loopback, and the program that was just built.

mod crash_01_kill_nine_loses_nothing;
mod crash_02_local_mail_comes_once;
mod imap_01_mbsync_sees_what_arrived;
mod imap_02_python_works_through_a_day;
mod imap_03_thunderbird_works_through_a_day;
mod in_01_cleartext_is_refused;
mod in_02_postfix_delivers_and_imap_reads;
mod in_03_strangers_may_not_relay_or_guess;
mod in_04_bad_input_harms_nothing;
mod in_05_exim_delivers;
mod in_06_hostile_input_harms_nothing;
mod in_07_who_has_no_tls_is_seen;
mod lab_00_postfix_takes_mail_over_tls;
mod ops_01_mistakes_get_a_clear_word;
mod ops_04_prometheus_scrapes;
mod ops_05_full_disk;
mod ops_06_reload_and_shutdown;
mod ops_08_metrics_tell_the_day;
mod out_01_verified_tls_delivers;
mod out_02_no_tls_goes_to_pickup;
mod out_06_exim_takes_part;
mod out_08_failures_are_reported;
mod out_10_everybody_gets_one_copy;
mod pickup;
mod pickup_01_patient_reads_and_answers;
mod pickup_02_chromium_reads_and_answers;
mod pickup_03_colleague_learns_the_code;
mod pickup_04_second_letter_same_code;
mod pickup_05_taken_back_is_gone;
mod rest_01_nothing_readable_at_rest;
mod sub_01_swaks_submits;
