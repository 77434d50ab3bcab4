// SPDX-License-Identifier: GPL-2.0-only

//! The image codec from outside: round trips, damage, hostile input.

mod checksum;
mod hostile;
mod order;
mod payloads;
mod roundtrip;
mod rules;
mod sample;
