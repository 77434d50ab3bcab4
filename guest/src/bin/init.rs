// SPDX-License-Identifier: GPL-2.0-only

//! Process 1 of the guest.

use guest::init;

fn main() {
    if std::process::id() != 1 {
        eprintln!(
            "init: expected to be process 1 of a guest, found pid {}",
            std::process::id()
        );
        std::process::exit(1);
    }
    if let Err(why) = init::run() {
        println!("init: {why}");
    }
    println!("init: {}", init::power_off());
}
