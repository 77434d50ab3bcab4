// SPDX-License-Identifier: GPL-2.0-only

//! Two images side by side, record by record. Pure.

use checkpoint::image::HEADER_SIZE;

use crate::scenario::damage::{extents, Extent};

/// Records that differ which are told.
const TOLD: usize = 8;

/// How an image differs from another one in payload and raw data: lines, none if it does not. Records of the
/// kinds in `except`, by their names, may differ in what they hold; there have to be as many, in the same places.
/// What stands in headers follows from the rest.
pub fn differences(image: &[u8], other: &[u8], except: &[String]) -> Result<Vec<String>, String> {
    let read = |image: &[u8]| extents(image).map_err(|err| err.to_string());
    let (ours, theirs) = (read(image)?, read(other)?);
    let is_called = |name: &String| {
        let mut all = ours.iter().chain(&theirs);
        all.any(|extent| extent.kind.name().eq_ignore_ascii_case(name))
    };
    if let Some(name) = except.iter().find(|name| !is_called(name)) {
        return Err(format!("except: the images have no record \"{name}\""));
    }
    let is_free = |extent: &Extent| {
        let mut names = except.iter();
        names.any(|name| extent.kind.name().eq_ignore_ascii_case(name))
    };
    let mut found = Vec::new();
    let mut task = 0;
    for (number, (one, two)) in ours.iter().zip(&theirs).enumerate() {
        let name = one.kind.name();
        task += usize::from(name == "TASK");
        if one.kind != two.kind {
            let other = two.kind.name();
            found.push(format!(
                "record {number} is {name} in one and {other} in the other"
            ));
            // What comes after it is not of the same thing.
            return Ok(found);
        }
        if is_free(one) {
            continue;
        }
        let (ours, theirs) = (content(image, one), content(other, two));
        if ours == theirs {
            continue;
        }
        let at = ours.iter().zip(theirs).position(|(one, two)| one != two);
        let at = at.unwrap_or(ours.len().min(theirs.len()));
        let count = ours
            .iter()
            .zip(theirs)
            .filter(|(one, two)| one != two)
            .count();
        found.push(format!(
            "record {number}, {name} of task {task}: {count} of {} bytes ({} in the other), first {at:#x}: {} and {}",
            ours.len(),
            theirs.len(),
            hex(ours, at),
            hex(theirs, at)
        ));
    }
    if ours.len() != theirs.len() {
        let (one, other) = (ours.len(), theirs.len());
        found.push(format!("{one} records in one and {other} in the other"));
    }
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(format!("and {more} more records"));
    }
    Ok(found)
}

/// A record's payload and raw data.
fn content<'a>(image: &'a [u8], extent: &Extent) -> &'a [u8] {
    let (from, to) = (
        extent.offset as usize + HEADER_SIZE,
        (extent.offset + extent.len) as usize,
    );
    image.get(from..to).unwrap_or_default()
}

/// The next bytes from a place on.
fn hex(bytes: &[u8], at: usize) -> String {
    let next = bytes.iter().skip(at).take(8);
    next.map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use checkpoint::image::writer::Payload;
    use checkpoint::image::Kind;

    fn image(records: &[(Kind, u64)]) -> Vec<u8> {
        let mut image = Vec::new();
        for (number, (kind, word)) in records.iter().enumerate() {
            let mut buffer = [0; 256];
            let mut writer = Payload::new(&mut buffer).unwrap();
            writer.put_u64(*word).unwrap();
            image.extend_from_slice(writer.finish(*kind, number as u64, 0).unwrap());
        }
        image
    }

    fn found(one: &[(Kind, u64)], other: &[(Kind, u64)], except: &[&str]) -> Vec<String> {
        let except: Vec<String> = except.iter().map(|name| name.to_string()).collect();
        differences(&image(one), &image(other), &except).unwrap()
    }

    #[test]
    fn what_differs_is_told_by_record_task_and_byte() {
        use Kind::*;
        let one = [(Head, 1), (Task, 2), (Regset, 0x1122), (End, 4)];
        let other = [(Head, 1), (Task, 2), (Regset, 0x3322), (End, 4)];
        assert_eq!(found(&one, &one, &[]), [] as [&str; 0]);
        assert_eq!(
            found(&one, &other, &[]),
            [
                "record 2, REGSET of task 1: 1 of 8 bytes (8 in the other), first 0x1: \
              11 00 00 00 00 00 00 and 33 00 00 00 00 00 00"
            ]
        );
        assert_eq!(found(&one, &other, &["regset"]), [] as [&str; 0]);
        let more = [
            (Head, 1),
            (Task, 2),
            (Regset, 0x1122),
            (Regset, 3),
            (End, 4),
        ];
        let moved = found(&one, &more, &[]);
        assert_eq!(moved, ["record 3 is END in one and REGSET in the other"]);
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let good = image(&[(Kind::Head, 1), (Kind::End, 4)]);
        assert!(differences(&good, &good[..20], &[]).is_err());
        let why = differences(&good, &good, &["FIDS".into()]).unwrap_err();
        assert!(why.contains("no record \"FIDS\""), "{why}");
    }
}
