// SPDX-License-Identifier: GPL-2.0-only

//! The image codec from outside: round trips, damage, hostile input.

mod checksum;
mod hostile;
mod order;
mod payloads;
mod roundtrip;
mod rules;
mod sample;

use proptest::prelude::ProptestConfig;

/// Of cases that are alike each is tried; under miri, which takes a thousand times as long, each `many`-th.
const fn stride(many: usize) -> usize {
    if cfg!(miri) {
        many
    } else {
        1
    }
}

/// How a property is tried; under miri once, and without writing down what fails: it lets no file be written.
fn tried(config: ProptestConfig) -> ProptestConfig {
    if !cfg!(miri) {
        return config;
    }
    ProptestConfig {
        cases: 1,
        failure_persistence: None,
        ..config
    }
}
