//! Faults of the machine, and what they cost: nothing.
//!
//! Each fault is a function that makes it happen to real runs of the real program and returns an account: records lost, doubled
//! or wrong, found by comparing every record with those of a run that nothing happened to. As tests they happen a few
//! times; in full, and with the table `docs/faults.md` as the result, they are had by
//!
//! ```sh
//! cargo test --workspace --test faults -- --ignored --nocapture
//! ```
#![cfg(target_os = "linux")]

#[path = "../fake_server/mod.rs"]
mod fake_server;
#[path = "../program/mod.rs"]
mod program;

mod account;
mod damage;
mod device;
mod disk;
mod process;
mod server;
mod surroundings;
mod table;

use account::Effort;

/// A test for each fault, a few times, and the list of all for the table.
macro_rules! faults {
    ($($sentence:ident, $words:literal => $fault:path;)*) => {
        $(#[test]
        fn $sentence() {
            $fault(Effort::Few).expect_clean();
        })*

        /// What the table calls them, in its order.
        const FAULTS: &[(&str, fn(Effort) -> account::Account)] = &[$(($words, $fault)),*];
    };
}

faults! {
    a_killed_run_loses_nothing, "SIGKILL at a random moment" => process::killed;
    a_killed_group_loses_nothing, "SIGKILL of a run and its two workers together" => process::group_killed;
    a_terminated_run_loses_nothing, "SIGTERM at a random moment" => process::terminated;
    an_interrupted_run_loses_nothing, "Ctrl-C at a random moment" => process::interrupted;
    a_run_whose_terminal_closes_loses_nothing, "SIGHUP at a random moment" => process::hung_up;
    two_processes_do_not_share_a_run, "two processes on one run directory" => process::two_at_once;
    a_disk_that_fills_costs_nothing, "a disk that fills" => disk::full;
    a_run_that_cannot_be_written_stays_as_it_is, "a run directory that becomes read-only" => disk::read_only;
    a_run_that_is_moved_meanwhile_can_be_gone_on_with, "the run directory is renamed meanwhile" => disk::moved;
    a_run_that_is_removed_meanwhile_does_not_pretend, "the run directory is removed meanwhile" => disk::removed;
    a_torn_last_line_is_sampled_again, "a torn last record" => damage::torn;
    flipped_bits_are_found_and_sampled_again, "one to four flipped bits in the records" => damage::flipped;
    a_record_under_another_key_is_not_believed, "a record under another's key, valid JSON" => damage::forged;
    a_doubled_line_counts_once, "a doubled record" => damage::doubled;
    damaged_logs_cost_their_lines_only, "damaged and torn steps.jsonl and activity.jsonl" => damage::logs;
    a_damaged_manifest_is_refused, "a damaged manifest.json" => damage::manifest;
    a_worker_that_dies_is_replaced, "one of two workers killed at a random moment" => device::worker_killed;
    a_device_that_fails_costs_only_what_was_under_way, "the device fails in the middle of a call" => device::fails_in_a_call;
    memory_that_runs_out_costs_nothing, "memory that runs out" => device::out_of_memory;
    a_clock_that_steps_changes_no_time, "the wall clock steps back and forth by days" => surroundings::clock_steps;
    nobody_has_to_read_what_is_said, "closed or full stdout and stderr" => surroundings::nobody_reads;
    no_home_is_needed, "no HOME, no environment" => surroundings::no_home;
    a_run_directory_may_have_any_name, "names that are no Unicode, hostile, or links" => surroundings::unusual_names;
    a_troubled_server_changes_no_record, "a server: 429, 500, silence, garbage, half an answer, repeated pieces, errors" => server::troubled;
}

#[test]
#[ignore = "takes minutes, and writes docs/faults.md"]
fn the_table_of_faults_is_written() {
    table::write(FAULTS);
}
