// SPDX-License-Identifier: GPL-2.0-only

//! Several places that a source can be had from: which refusals have the next one tried, and what is said of them.

use super::Fetched;
use crate::error::{Error, Kind};
use crate::event::{Event, Sink};

/// Why a place gave nothing.
#[derive(Debug)]
pub enum Refusal {
    /// It has none, or is out of reach: the next place may do better.
    Absent(Error),
    /// No other place puts it right: an interrupt, a full disk, a file that is not what it should be.
    Final(Error),
}

impl Refusal {
    /// What to say of it where nothing else is tried.
    pub fn into_error(self) -> Error {
        match self {
            Refusal::Absent(err) | Refusal::Final(err) => err,
        }
    }
}

impl From<Error> for Refusal {
    fn from(err: Error) -> Self {
        match err.kind() {
            Kind::Host | Kind::Usage => Refusal::Absent(err),
            Kind::Build | Kind::Lab | Kind::Interrupted => Refusal::Final(err),
        }
    }
}

/// A source, or why a place has none.
pub type Found = std::result::Result<Fetched, Refusal>;

/// What the first of these places gives that has it. Each that is passed over is told of; if all are, one error is
/// made of what several said, and a single one's is left as it is.
pub fn first<P>(
    places: &[P],
    sink: &dyn Sink,
    get: impl Fn(&P) -> Found,
    several: impl FnOnce(String) -> Error,
) -> Found {
    let mut refusals = Vec::new();
    for (at, place) in places.iter().enumerate() {
        match get(place) {
            Err(Refusal::Absent(err)) => {
                if at + 1 < places.len() {
                    sink.emit(Event::Note(format!("passed over: {err}")));
                }
                refusals.push(err);
            }
            found => return found,
        }
    }
    Err(Refusal::Absent(match <[Error; 1]>::try_from(refusals) {
        Ok([only]) => only,
        Err(all) => {
            let texts: Vec<String> = all.iter().map(Error::to_string).collect();
            several(texts.join("\n"))
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What a search over these places gives, and what was said meanwhile.
    fn search(places: &[&str]) -> (Found, Vec<String>) {
        let notes = Mutex::new(Vec::new());
        let sink = |event: Event| {
            if let Event::Note(note) = event {
                notes.lock().unwrap().push(note);
            }
        };
        let get = |place: &&str| match *place {
            "damaged" => Err(Refusal::Final(Error::usage("checking", "damaged"))),
            "full" => Err(Error::lab("writing", "full").into()),
            "stopped" => Err(Error::interrupted("asking").into()),
            "moved" => Err(Error::usage("looking", "moved").into()),
            "silent" => Err(Error::host("asking", "silent").into()),
            name => Ok(Fetched {
                name: name.into(),
                origin: name.into(),
                version: "1.0".into(),
                tarball: name.into(),
                sha256: String::new(),
                in_place: false,
            }),
        };
        let found = first(places, &sink, get, |texts| Error::host("searching", texts));
        (found, notes.into_inner().unwrap())
    }

    #[test]
    fn what_is_passed_over_is_told() {
        let (found, notes) = search(&["silent", "moved", "there", "damaged"]);
        assert_eq!(found.unwrap().name, "there");
        assert_eq!(
            notes,
            ["passed over: asking: silent", "passed over: looking: moved"]
        );
    }

    #[test]
    fn what_no_other_place_puts_right_ends_the_search() {
        for (place, said) in [
            ("damaged", "checking: damaged"),
            ("full", "writing: full"),
            ("stopped", "asking: interrupted"),
        ] {
            match search(&[place, "there"]) {
                (Err(Refusal::Final(err)), notes) if notes.is_empty() => {
                    assert_eq!(err.to_string(), said);
                }
                other => panic!("{place}: {other:?}"),
            }
        }
    }

    #[test]
    fn one_refusal_stays_as_it_is_and_several_are_told_together() {
        let said = |places: &[&str]| search(places).0.unwrap_err().into_error();
        assert_eq!(said(&["moved"]).kind(), Kind::Usage);
        let all = said(&["moved", "silent"]);
        assert_eq!(all.to_string(), "searching: looking: moved\nasking: silent");
    }
}
