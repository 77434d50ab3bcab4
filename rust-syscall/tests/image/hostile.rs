// SPDX-License-Identifier: GPL-2.0-only

//! Damaged images: every flipped bit and every truncation is refused, at the
//! record that is damaged; random bytes are refused without a panic.

use crate::sample::{chain, record_at, reseal};
use crate::{stride, tried};
use checkpoint::image::error::errno;
use checkpoint::image::header::Kind;
use checkpoint::image::stream::Stream;
use checkpoint::image::{Fault, ImageError};
use proptest::prelude::*;

/// The first refusal of an image, if there is one.
fn refusal(image: &[u8]) -> Option<ImageError> {
    let mut stream = Stream::new(image);
    loop {
        match stream.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[test]
fn whole_images_are_accepted() {
    let sizes = [1, 2, 7, 2048, 2049];
    for nr in sizes.into_iter().step_by(stride(5)) {
        let (bytes, _) = chain(nr).write();
        assert_eq!(refusal(&bytes), None, "{nr} tasks");
    }
}

#[test]
fn every_flipped_bit_is_refused_where_it_is() {
    let (mut bytes, starts) = chain(2).write();
    for (seq, start) in starts.iter().copied().enumerate() {
        let end = starts.get(seq + 1).copied().unwrap_or(bytes.len());
        for bit in (start * 8..end * 8).step_by(stride(4001)) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = record_at(&bytes, start, seq).expect_err("accepted");
            assert_eq!((error.seq, error.offset), (seq as u64, start as u64));
            assert!(error.errno() > 0);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_walk_ends_at_the_flipped_byte() {
    let (mut bytes, starts) = chain(1).write();
    for at in (0..bytes.len()).step_by(97 * stride(41)) {
        bytes[at] ^= 0x10;
        let error = refusal(&bytes).expect("accepted");
        let seq = starts.iter().filter(|start| **start <= at).count() - 1;
        assert_eq!(error.seq, seq as u64);
        bytes[at] ^= 0x10;
    }
}

#[test]
fn every_truncation_is_refused_where_it_is() {
    let (bytes, starts) = chain(2).write();
    for cut in (0..bytes.len()).step_by(stride(2003)) {
        let seq = starts.iter().filter(|start| **start <= cut).count() - 1;
        let error = record_at(&bytes[..cut], starts[seq], seq).expect_err("accepted");
        assert_eq!((error.seq, error.offset), (seq as u64, starts[seq] as u64));
        assert!(matches!(error.what, Fault::Truncated { .. }), "{error}");
        assert_eq!(error.errno(), errno::EPIPE);
    }
    for start in starts.into_iter().step_by(stride(9)) {
        let error = refusal(&bytes[..start]).expect("accepted");
        assert_eq!(error.offset, start as u64);
        assert!(matches!(error.what, Fault::Truncated { .. }), "{error}");
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    let (mut bytes, _) = chain(1).write();
    bytes.push(0);
    let error = refusal(&bytes).expect("accepted");
    assert_eq!(error.what, Fault::LeftOver { found: 1 });
}

/// P15: padding carries nothing.
#[test]
fn padding_and_reserved_must_be_zero_even_with_right_checksums() {
    let image = chain(1);
    let (bytes, starts) = image.write();
    let mut padded = 0;
    for (seq, raw) in image.records.iter().enumerate() {
        let mut hostile = bytes.clone();
        hostile[starts[seq] + 4] = 1;
        reseal(&mut hostile, starts[seq]);
        let error = record_at(&hostile, starts[seq], seq).expect_err("accepted");
        assert!(matches!(error.what, Fault::Reserved { .. }), "{error}");
        if raw.payload.len() % 8 != 0 {
            padded += 1;
            let mut hostile = bytes.clone();
            hostile[starts[seq] + 40 + raw.payload.len()] = 1;
            reseal(&mut hostile, starts[seq]);
            let error = record_at(&hostile, starts[seq], seq).expect_err("accepted");
            let field = "padding";
            assert_eq!(error.what, Fault::Reserved { field, found: 1 });
        }
    }
    assert!(padded > 0);
}

#[test]
fn refusals_read_well() {
    let (mut bytes, starts) = chain(1).write();
    let text = |bytes: &[u8]| refusal(bytes).expect("accepted").to_string();
    assert_eq!(
        text(&bytes[..100]),
        "record 0 (HEAD) at offset 0: the image ends here: expected 80 bytes, found 60"
    );
    assert_eq!(
        text(&bytes[..starts[2]]),
        "record 2 at offset 184: the image ends here: expected 40 bytes, found 0"
    );
    bytes[starts[2] + 50] ^= 0x80;
    let damaged = text(&bytes);
    let begin = "record 2 (TASK) at offset 184: checksum: expected 0x";
    assert!(damaged.starts_with(begin), "{damaged}");
}

proptest! {
    #![proptest_config(tried(ProptestConfig::with_cases(2000)))]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(refusal(&bytes).is_some());
    }

    #[test]
    fn random_payloads_with_right_checksums_do_no_harm(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
    ) {
        let mut image = chain(1);
        let record = which.get(&image.records).clone();
        let seq = which.index(image.records.len());
        let payload = &mut image.records[seq].payload;
        for (at, byte) in edits {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let changed = *payload != record.payload;
        let (bytes, _) = image.write();
        // What is accepted differs in values only; what matters is the walk.
        let refused = refusal(&bytes);
        if !changed {
            prop_assert_eq!(refused, None);
        }
        if record.kind == Kind::End && changed {
            prop_assert!(refused.is_some());
        }
    }
}
