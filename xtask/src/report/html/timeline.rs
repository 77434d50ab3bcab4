// SPDX-License-Identifier: GPL-2.0-only

//! A restart as a picture: a row for each participant, along it when it waited, restored and waited for the
//! others, between the rows the turn being handed on.

use std::fmt::Write as _;
use std::path::Path;

use crate::report::timeline::{Participant, Place, Restart, Restarts};
use crate::report::{RunReport, ScenarioReport};

/// Participants that the pictures of one scenario show in all, beyond the first picture.
const ROWS: usize = 256;
/// Pictures of one scenario.
const PICTURES: usize = 6;
/// Width of the rows, and what stands on their left, in units of the picture.
const WIDTH: f64 = 760.0;
const MARGIN: f64 = 120.0;
/// Height of a row, and of all rows when there are many.
const ROW: f64 = 16.0;
const ALL_ROWS: f64 = 640.0;
/// Rows lower than this have no names.
const NAMED: f64 = 10.0;
/// Height of the scale of times.
const SCALE: f64 = 18.0;

/// The restarts of one scenario on one machine.
pub(super) struct Group {
    pub anchor: String,
    pub scenario: String,
    pub machine: String,
    pub class: &'static str,
    pub summary: String,
    pub pictures: Vec<Picture>,
    /// What is not shown, and where it is; empty if all is.
    pub rest: String,
}

/// One restart.
pub(super) struct Picture {
    pub title: String,
    pub class: &'static str,
    pub width: String,
    pub height: String,
    /// The lower edge of the scale's words.
    pub scale: String,
    /// How it is seen, and the outline of all that is seen so.
    pub bands: Vec<(&'static str, String)>,
    /// Outline of the turn being handed on.
    pub hands: String,
    /// Of each row its upper end, its height and what is to be known of it.
    pub rows: Vec<(String, String, String)>,
    /// Of each name its place and the name.
    pub names: Vec<(String, String)>,
    /// Of each mark of the scale its place, and its words.
    pub marks: Vec<(String, String)>,
}

/// The restarts of results: of each scenario and machine, those of the first of its results that has any.
pub(super) fn groups<'a>(
    run: &RunReport,
    results: impl Iterator<Item = &'a ScenarioReport>,
) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for result in results {
        let machine = super::place_of(&result.case);
        let is_same =
            |group: &Group| group.scenario == result.case.scenario && group.machine == machine;
        if groups.iter().any(is_same) {
            continue;
        }
        let folder = run.folder_of(result);
        let restarts = Restarts::read(&folder);
        if restarts.restarts.is_empty() {
            continue;
        }
        let anchor = format!("restarts-{}", groups.len());
        groups.push(group(
            anchor,
            &result.case.scenario,
            machine,
            &restarts,
            &folder,
        ));
    }
    groups
}

fn group(anchor: String, scenario: &str, machine: String, all: &Restarts, folder: &Path) -> Group {
    let longest = all
        .restarts
        .iter()
        .map(Restart::lasted_us)
        .fold(0.0, f64::max);
    let failed = all
        .restarts
        .iter()
        .filter(|one| one.errno().is_some())
        .count();
    let shown = chosen(&all.restarts);
    let mut rest = String::new();
    let file = folder.join(crate::report::timeline::RESTARTS);
    if shown.len() < all.restarts.len() {
        let count = all.restarts.len() - shown.len();
        // Writing to a string does not fail.
        let _ = write!(rest, "{count} more are in {}. ", file.display());
    }
    if all.moments_lost > 0 {
        let lost = all.moments_lost;
        let _ = write!(
            rest,
            "The kernel had written over {lost} moments of the first ones."
        );
    }
    Group {
        anchor,
        scenario: scenario.to_string(),
        machine,
        class: if failed > 0 { "odd" } else { "good" },
        summary: match failed {
            0 => format!("{}, longest {}", counted(all.restarts.len()), time(longest)),
            failed => format!(
                "{}, {failed} of them failed, longest {}",
                counted(all.restarts.len()),
                time(longest)
            ),
        },
        pictures: shown
            .into_iter()
            .map(|at| picture(&all.restarts[at]))
            .collect(),
        rest,
    }
}

fn counted(restarts: usize) -> String {
    match restarts {
        1 => "1 restart".to_string(),
        count => format!("{count} restarts"),
    }
}

/// Which restarts are shown, in the order of times: those that did not end well first, then the longest.
fn chosen(restarts: &[Restart]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..restarts.len()).collect();
    let is_good = |at: usize| restarts[at].errno().is_none() && !restarts[at].is_open();
    order.sort_by(|a, b| {
        let by_time = || {
            restarts[*b]
                .lasted_us()
                .total_cmp(&restarts[*a].lasted_us())
        };
        is_good(*a).cmp(&is_good(*b)).then_with(by_time)
    });
    let mut rows = 0;
    let fits = |at: &usize| {
        let before = rows;
        rows += restarts[*at].participants.len();
        before == 0 || rows <= ROWS
    };
    let mut shown: Vec<usize> = order.into_iter().take(PICTURES).take_while(fits).collect();
    shown.sort_unstable();
    shown
}

fn picture(restart: &Restart) -> Picture {
    let count = restart.participants.len().max(1) as f64;
    let row = ROW.min(ALL_ROWS / count);
    let all = restart.lasted_us().max(1.0);
    let x = |at_us: f64| MARGIN + at_us / all * (WIDTH - MARGIN);
    let mut bands: Vec<(&'static str, String)> =
        BANDS.iter().map(|class| (*class, String::new())).collect();
    for (number, who) in restart.participants.iter().enumerate() {
        let (top, height) = (number as f64 * row, row * 0.8);
        for (class, from, to) in stretches(who, restart.lasted_us()) {
            // What takes no time that could be seen is seen all the same.
            let width = (x(to) - x(from)).max(0.5);
            if let Some((_, outline)) = bands.iter_mut().find(|(known, _)| *known == class) {
                let _ = write!(
                    outline,
                    "M{:.1} {top:.1}h{width:.1}v{height:.1}h-{width:.1}z",
                    x(from)
                );
            }
        }
    }
    bands.retain(|(_, outline)| !outline.is_empty());
    let mut hands = String::new();
    for (from, to, began, done) in restart.hands() {
        let middle = |number: usize| (number as f64 + 0.4) * row;
        let _ = write!(
            hands,
            "M{:.1} {:.1}L{:.1} {:.1}",
            x(began),
            middle(from),
            x(done),
            middle(to)
        );
    }
    let named = row >= NAMED;
    let mut rows = Vec::new();
    let mut names = Vec::new();
    if named {
        for (number, who) in restart.participants.iter().enumerate() {
            let top = number as f64 * row;
            rows.push((format!("{top:.1}"), format!("{row:.1}"), way(who)));
            names.push((format!("{:.1}", top + row * 0.65), who.name()));
        }
    }
    let marks =
        [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| (format!("{:.1}", x(part * all)), time(part * all)));
    let height = count * row + SCALE;
    Picture {
        title: title(restart),
        class: if restart.errno().is_some() || restart.is_open() {
            "odd"
        } else {
            "good"
        },
        width: format!("{WIDTH:.0}"),
        height: format!("{height:.1}"),
        scale: format!("{:.1}", height - 5.0),
        bands,
        hands,
        rows,
        names,
        marks: marks.to_vec(),
    }
}

/// How stretches of a row are seen: see the page's style.
const BANDS: [&str; 5] = ["wait", "work", "done", "verify", "fail"];

/// What a participant did, from when until when, in microseconds.
fn stretches(who: &Participant, end: f64) -> Vec<(&'static str, f64, f64)> {
    let mut all = Vec::new();
    for (number, stop) in who.path.iter().enumerate() {
        let until = who.path.get(number + 1).map_or(end, |next| next.at_us);
        let class = match stop.place {
            Place::Entered => "wait",
            Place::Turn | Place::Midway => "work",
            Place::Restored => "done",
            Place::Verify | Place::Verified => "verify",
            Place::Ended if who.left().is_some_and(|(errno, _)| errno == 0) => "done",
            Place::Ended => "fail",
            Place::Left { .. } => continue,
        };
        all.push((class, stop.at_us, until));
    }
    all
}

/// What is to be known of a row.
fn way(who: &Participant) -> String {
    let mut words = format!("pid {}", who.name());
    let span = |from: Place, to: Place| Some(who.at(to)? - who.at(from)?);
    if let Some(waited) = span(Place::Entered, Place::Turn) {
        let _ = write!(words, ": waited {} for its turn", time(waited));
    }
    if let Some(restoring) = span(Place::Turn, Place::Restored) {
        let _ = write!(words, ", restored in {}", time(restoring));
    }
    match who.left() {
        None => words.push_str(", has not left"),
        Some((0, _)) => {}
        Some((errno, killed)) => {
            let _ = write!(words, ", left with {}", errno_words(errno));
            if killed {
                words.push_str(" and is killed");
            }
        }
    }
    words
}

fn errno_words(errno: u16) -> String {
    std::io::Error::from_raw_os_error(errno.into()).to_string()
}

fn title(restart: &Restart) -> String {
    let tasks = match restart.tasks_seen() {
        1 => "1 task".to_string(),
        count => format!("{count} tasks"),
    };
    let mut words = format!(
        "{:.6} s: {tasks} in {}",
        restart.began_s,
        time(restart.lasted_us())
    );
    let restoring = restart.restoring();
    let slowest = restoring.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((at, longest)) = slowest {
        let sum: f64 = restoring.iter().map(|(_, time)| time).sum();
        let who = &restart.participants[*at];
        let _ = write!(
            words,
            ", {} of it restoring (longest {} {})",
            time(sum),
            who.name(),
            time(*longest)
        );
    }
    let hands = restart.hands();
    if !hands.is_empty() {
        let sum: f64 = hands.iter().map(|(_, _, from, to)| to - from).sum();
        let _ = write!(words, ", {} handing over", time(sum));
    }
    match restart.errno() {
        Some(errno) => {
            let _ = write!(words, "; failed: {}", errno_words(errno));
        }
        None if restart.is_open() => words.push_str("; not over when the scenario was"),
        None => {}
    }
    words
}

/// A time in the unit that suits it.
fn time(us: f64) -> String {
    match us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.1} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::tests::words;

    fn restart(errno: u16) -> Restart {
        Restarts::of(&words(errno), 0).restarts[0].clone()
    }

    #[test]
    fn a_restart_is_told_in_a_line() {
        assert_eq!(
            title(&restart(0)),
            "2.000000 s: 2 tasks in 12.0 ms, 5.0 ms of it restoring (longest 1 (now 101) 4.0 ms), 1.0 ms handing over"
        );
        assert!(title(&restart(4)).ends_with("; failed: Interrupted system call (os error 4)"));
        assert_eq!(
            way(&restart(4).participants[1]),
            "pid 1 (now 101): waited 2.0 ms for its turn, restored in 4.0 ms, \
             left with Interrupted system call (os error 4) and is killed"
        );
    }

    #[test]
    fn each_participant_has_a_row_and_each_stretch_a_place_in_it() {
        let picture = picture(&restart(0));
        let kinds: Vec<&str> = picture.bands.iter().map(|(class, _)| *class).collect();
        assert_eq!(kinds, ["wait", "work", "done", "verify"]);
        // Of 640 units for 12 ms the second task waits from 2 to 8, two rows down.
        let waits = &picture.bands[0].1;
        assert!(waits.contains("M226.7 32.0h320.0v12.8h-320.0z"), "{waits}");
        assert_eq!(picture.hands, "M493.3 22.4L546.7 38.4");
        assert_eq!((picture.rows.len(), picture.names.len()), (3, 3));
        assert_eq!(picture.marks[4], ("760.0".into(), "12.0 ms".into()));
        let failed = super::picture(&restart(4));
        assert!(failed.bands.iter().any(|(class, _)| *class == "fail"));
    }

    #[test]
    fn a_large_tree_fits_and_has_no_names() {
        let mut large = restart(0);
        let who = large.participants[1].clone();
        large.participants = vec![who; 1024];
        let picture = picture(&large);
        assert_eq!((picture.rows.len(), picture.height.as_str()), (0, "658.0"));
        assert_eq!(picture.bands[0].1.matches('M').count(), 1024);
    }

    #[test]
    fn what_failed_is_shown_first_and_not_all() {
        let mut all: Vec<Restart> = (0..20).map(|_| restart(0)).collect();
        assert_eq!(chosen(&all), [0, 1, 2, 3, 4, 5]);
        all[17] = restart(4);
        all[19].participants[1].path.last_mut().unwrap().at_us = 99e3;
        assert_eq!(chosen(&all), [0, 1, 2, 3, 17, 19]);
        // A picture that is too large is shown alone.
        let who = all[17].participants[1].clone();
        all[17].participants = vec![who; 1024];
        let group = group(
            "a".into(),
            "tree",
            "x".into(),
            &Restarts {
                moments_lost: 5,
                restarts: all,
            },
            Path::new("/f"),
        );
        assert_eq!((group.pictures.len(), group.class), (1, "odd"));
        assert_eq!(
            group.rest,
            "19 more are in /f/restarts.json. The kernel had written over 5 moments of the first ones."
        );
    }
}
