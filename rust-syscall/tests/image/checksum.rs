// SPDX-License-Identifier: GPL-2.0-only

//! XXH64 against another implementation of it.

use crate::tried;
use checkpoint::image::Xxh64;
use proptest::prelude::*;
use std::hash::Hasher;

fn reference(data: &[u8]) -> u64 {
    let mut hasher = twox_hash::XxHash64::with_seed(0);
    hasher.write(data);
    hasher.finish()
}

#[test]
fn known_answers() {
    assert_eq!(Xxh64::of(b""), 0xEF46_DB37_51D8_E999);
    assert_eq!(Xxh64::of(b"abc"), 0x44BC_2CF5_AD77_0999);
}

#[test]
fn every_length_to_two_hundred() {
    let data: Vec<u8> = (0..200u32).map(|n| (n * 37 + 11) as u8).collect();
    for len in 0..=data.len() {
        assert_eq!(Xxh64::of(&data[..len]), reference(&data[..len]), "{len}");
    }
}

proptest! {
    #![proptest_config(tried(ProptestConfig::default()))]

    #[test]
    fn however_it_is_cut(
        data in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in prop::collection::vec(0usize..70, 0..60),
    ) {
        let mut sum = Xxh64::new();
        let mut rest = &data[..];
        for cut in cuts {
            let (front, after) = rest.split_at(cut.min(rest.len()));
            sum.update(front);
            rest = after;
        }
        sum.update(rest);
        prop_assert_eq!(sum.finish(), reference(&data));
    }
}
