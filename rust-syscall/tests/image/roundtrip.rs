// SPDX-License-Identifier: GPL-2.0-only

//! What is encoded decodes to the same, and what decodes encodes to the same.

use crate::payloads;
use crate::sample::payload_of;
use crate::tried;
use checkpoint::image::reader::Limits;
use checkpoint::image::record::head::Host;
use checkpoint::image::record::{AnyBody, Head};
use checkpoint::image::{
    Fault, ImageError, Kind, Payload, Place, Record, RecordHeader, HEADER_SIZE, MAX_PAYLOAD,
    RECORD_BUFFER,
};
use proptest::prelude::*;

pub fn record(kind: Kind, payload: &[u8], bulk: u64) -> Record<'_> {
    Record {
        kind,
        place: Place {
            kind: kind.number(),
            seq: 5,
            offset: 600,
        },
        payload,
        bulk,
    }
}

proptest! {
    #![proptest_config(tried(ProptestConfig::default()))]

    #[test]
    fn valid_payloads_decode_and_encode_to_the_same(
        (kind, payload, bulk) in payloads::any_record(),
    ) {
        let record = record(kind, &payload, bulk);
        let body = AnyBody::decode(&record, Limits::WIDEST);
        prop_assert!(body.is_ok(), "{kind:?}: {}", body.unwrap_err());
        let body = body.unwrap();
        prop_assert_eq!(body.kind(), kind);
        prop_assert_eq!(payload_of(|to| body.encode(to)), payload);
    }

    #[test]
    fn what_is_cut_or_longer_is_refused(
        (kind, payload, bulk) in payloads::any_record(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut longer = payload.clone();
        longer.push(0);
        let longer = record(kind, &longer, bulk);
        // A regset is as long as its record.
        if kind != Kind::Regset && payload.len() < MAX_PAYLOAD {
            prop_assert!(AnyBody::decode(&longer, Limits::WIDEST).is_err());
        }
        if !payload.is_empty() {
            let at = cut.index(payload.len());
            let whole_entries = match kind {
                Kind::Tree => at % 24 == 0 && at > 0,
                Kind::Fds => at % 16 == 0,
                Kind::Vma => at % 40 == 0 && at > 0,
                Kind::Regset => at > 8,
                _ => false,
            };
            let shorter = record(kind, &payload[..at], bulk);
            let decoded = AnyBody::decode(&shorter, Limits::WIDEST);
            prop_assert_eq!(decoded.is_ok(), whole_entries, "{:?} {}", kind, at);
        }
    }

    #[test]
    fn random_payloads_never_panic_and_are_canonical(
        number in 0usize..19,
        payload in prop::collection::vec(prop_oneof![Just(0u8), Just(1u8), any::<u8>()], 0..300),
    ) {
        let kind = Kind::ALL[number];
        let record = record(kind, &payload, 4096);
        if let Ok(body) = AnyBody::decode(&record, Limits::WIDEST) {
            prop_assert_eq!(payload_of(|to| body.encode(to)), payload);
        }
    }

    #[test]
    fn headers_survive(kind: u32, reserved: u32, seq: u64, len in 0u64..65_537, bulk: u64, checksum: u64) {
        let header = RecordHeader { kind, reserved, seq, len, bulk, checksum };
        prop_assert_eq!(RecordHeader::decode(&header.encode(), Place::default()), Ok(header));
    }
}

#[test]
fn kinds_have_their_numbers() {
    for kind in Kind::ALL {
        assert_eq!(Kind::try_from(kind.number()), Ok(kind));
    }
    for number in [0, 3, 9, 23, 28, 32, 254, 256, u32::MAX] {
        let found = u64::from(number);
        assert_eq!(Kind::try_from(number), Err(Fault::UnknownKind { found }));
    }
}

#[test]
fn a_header_that_promises_too_much_is_refused() {
    let header = RecordHeader {
        len: MAX_PAYLOAD as u64 + 1,
        ..RecordHeader::default()
    };
    let error = RecordHeader::decode(&header.encode(), Place::default()).unwrap_err();
    assert!(matches!(error.what, Fault::TooLarge { field: "len", .. }));
}

/// P21: what is full refuses, and does not panic.
#[test]
fn a_full_payload_takes_no_more() {
    let mut buffer = vec![0; RECORD_BUFFER + 100];
    let mut payload = Payload::new(&mut buffer).unwrap();
    assert_eq!(payload.room(), MAX_PAYLOAD);
    payload.reserve(MAX_PAYLOAD - 4).unwrap();
    let error = payload.put_u64(1).unwrap_err();
    assert!(matches!(
        error.what,
        Fault::Overflow {
            expected: 4,
            found: 8,
            ..
        }
    ));
    payload.put_u32(1).unwrap();
    assert_eq!(payload.room(), 0);
    payload.patch_u32(0, 9).unwrap();
    assert!(payload.patch_u32(MAX_PAYLOAD - 3, 9).is_err());
    let bytes = payload.finish(Kind::Regset, 0, 0).unwrap();
    assert_eq!(bytes.len(), HEADER_SIZE + MAX_PAYLOAD);
    assert_eq!(bytes[HEADER_SIZE], 9);
    assert!(Payload::new(&mut [0; 39]).is_err());
    let mut small = [0; 44];
    let mut payload = Payload::new(&mut small).unwrap();
    payload.put_u32(1).unwrap();
    let padding: ImageError = payload.finish(Kind::Task, 3, 0).unwrap_err();
    assert_eq!((padding.kind, padding.seq), (10, 3));
}

#[test]
fn a_body_of_another_kind_is_refused() {
    let record = record(Kind::Fs, &[0; 16], 0);
    let error = record
        .body::<checkpoint::image::record::TaskEnd>(Limits::WIDEST)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "record 5 (FS) at offset 600: order: expected TASK_END, found FS"
    );
}

#[test]
fn another_machine_is_refused_by_name() {
    let payload = payloads::head(62, 4096, 1, &[0b111, 1]);
    let record = record(Kind::Head, &payload, 0);
    let head: Head<'_> = record.body(Limits::WIDEST).unwrap();
    let host = Host {
        arch: 62,
        page_size: 4096,
        vdso_hash: 0x55,
        features: &[0b1111, 1],
    };
    assert_eq!(head.check_host(&record, &host), Ok(()));
    let errno = |host: Host<'_>| head.check_host(&record, &host).unwrap_err().errno();
    assert_eq!(errno(Host { arch: 183, ..host }), 8);
    assert_eq!(
        errno(Host {
            page_size: 65_536,
            ..host
        }),
        8
    );
    assert_eq!(
        errno(Host {
            vdso_hash: 1,
            ..host
        }),
        8
    );
    assert_eq!(
        errno(Host {
            features: &[0b111],
            ..host
        }),
        61
    );
    let fewer = Host {
        features: &[0b101, 1],
        ..host
    };
    let error = head.check_host(&record, &fewer).unwrap_err();
    assert_eq!(
        error.what,
        Fault::Features {
            word: 0,
            expected: 0b101,
            found: 0b010
        }
    );
}
