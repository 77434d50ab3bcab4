// SPDX-License-Identifier: GPL-2.0-only

//! The rules of a restart that the kernel's own record of it can show to be broken: invariants 1, 2, 4, 5 and
//! 10 of `docs/restart.md`. Every restart of every scenario is held against them.

use crate::report::timeline::{Participant, Place, Restart, Restarts};

/// What is wrong with the first restart that broke a rule.
pub fn breach(all: &Restarts) -> Option<String> {
    all.restarts.iter().find_map(|restart| {
        let why = broken(restart)?;
        Some(format!(
            "the restart at {:.6} s broke the protocol: {why}",
            restart.began_s
        ))
    })
}

fn broken(restart: &Restart) -> Option<String> {
    out_of_turn(restart)
        .or_else(|| released_too_early(restart))
        .or_else(|| ends_differ(restart))
        .or_else(|| killed_unchanged(restart))
}

/// One at a time, in the order of the image: who begins finds all before it restored.
fn out_of_turn(restart: &Restart) -> Option<String> {
    let began = |who: &Participant| who.slot.and(who.at(Place::Turn));
    restart.participants.windows(2).find_map(|pair| {
        let [before, next] = pair else { return None };
        let began = began(next)?;
        // Of what was written over nothing is known.
        before.slot.filter(|_| is_whole(before))?;
        match before.at(Place::Restored) {
            Some(restored) if restored <= began => None,
            _ => Some(format!(
                "task {} began to restore itself before task {} had",
                next.name(),
                before.name()
            )),
        }
    })
}

/// Nobody goes on before everybody is restored and the end of the image has been read.
fn released_too_early(restart: &Restart) -> Option<String> {
    let goes_on = |who: &&Participant| who.left().is_some_and(|(errno, _)| errno == 0);
    let verified = restart
        .participants
        .iter()
        .find_map(|who| who.at(Place::Verify));
    let first = restart.participants.iter().filter(goes_on).find_map(|who| {
        let ended = who.at(Place::Ended)?;
        (verified.is_none_or(|verified| verified > ended)).then_some(who)
    });
    if let Some(who) = first.filter(|_| restart.participants.iter().all(is_whole)) {
        return Some(format!(
            "{} went on before the image's end was read",
            who.name()
        ));
    }
    let late = restart.participants.iter().find(|who| {
        let restored = who.at(Place::Restored);
        let in_time = restored
            .zip(verified)
            .is_none_or(|(restored, verified)| restored <= verified);
        !in_time
            || (verified.is_some() && who.slot.is_some() && is_whole(who) && restored.is_none())
    })?;
    Some(format!(
        "the image's end was read before task {} was restored",
        late.name()
    ))
}

/// Everybody learns the same end.
fn ends_differ(restart: &Restart) -> Option<String> {
    let mut ends = restart
        .participants
        .iter()
        .filter_map(|who| Some((who, who.left()?.0)));
    let (first, errno) = ends.next()?;
    let (other, another) = ends.find(|(_, found)| *found != errno)?;
    Some(format!(
        "{} left with errno {errno}, {} with {another}",
        first.name(),
        other.name()
    ))
}

/// Who has not begun to restore itself is what it was, and lives.
fn killed_unchanged(restart: &Restart) -> Option<String> {
    let who = restart.participants.iter().find(|who| {
        let killed = who.left().is_some_and(|(_, killed)| killed);
        killed && is_whole(who) && who.at(Place::Turn).is_none()
    })?;
    Some(format!(
        "{} is killed, and had not been changed",
        who.name()
    ))
}

/// Whether all of its way is known.
fn is_whole(who: &Participant) -> bool {
    who.path
        .first()
        .is_some_and(|stop| stop.place == Place::Entered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::timeline::tests::words;
    use crate::report::timeline::Stop;

    fn restart(errno: u16) -> Restart {
        Restarts::of(&words(errno), 0).restarts[0].clone()
    }

    /// Why a restart is wrong in which one participant came to a place at another time, or never.
    fn with(errno: u16, who: usize, place: Place, at_us: Option<f64>) -> Option<String> {
        let mut restart = restart(errno);
        let path = &mut restart.participants[who].path;
        path.retain(|stop| stop.place != place);
        path.extend(at_us.map(|at_us| Stop { at_us, place }));
        path.sort_by(|a, b| a.at_us.total_cmp(&b.at_us));
        broken(&restart)
    }

    #[test]
    fn good_restarts_and_failed_ones_keep_the_rules() {
        assert_eq!(broken(&restart(0)), None);
        assert_eq!(broken(&restart(4)), None);
        let all = Restarts::of(&words(3), 0);
        assert_eq!(breach(&all), None);
    }

    #[test]
    fn every_rule_can_be_seen_to_be_broken() {
        let left = |killed| Place::Left { errno: 4, killed };
        let (killed, refused) = (left(true), left(false));
        for (why, found) in [
            (
                "task 2 (now 102) began to restore itself before task 1 (now 101) had",
                with(0, 2, Place::Turn, Some(6900.0)),
            ),
            (
                "task 2 (now 102) began to restore itself before task 1 (now 101) had",
                with(4, 1, Place::Restored, None),
            ),
            (
                "1 (now 101) went on before the image's end was read",
                with(0, 1, Place::Ended, Some(9500.0)),
            ),
            (
                "coordinator 100 went on before the image's end was read",
                with(0, 0, Place::Verify, None),
            ),
            (
                "the image's end was read before task 2 (now 102) was restored",
                with(0, 2, Place::Restored, Some(10500.0)),
            ),
            (
                "the image's end was read before task 2 (now 102) was restored",
                with(0, 2, Place::Restored, None),
            ),
            (
                "coordinator 100 left with errno 0, 1 (now 101) with 4",
                with_end(0, 1, refused),
            ),
            (
                "coordinator 100 is killed, and had not been changed",
                with_end(4, 0, killed),
            ),
        ] {
            assert_eq!(found.as_deref(), Some(why));
        }
    }

    fn with_end(errno: u16, who: usize, end: Place) -> Option<String> {
        let mut restart = restart(errno);
        restart.participants[who].path.last_mut().unwrap().place = end;
        broken(&restart)
    }

    #[test]
    fn what_was_written_over_is_not_held_against_anybody() {
        let mut moments = words(0);
        while moments.len() > 1 {
            moments.remove(0);
            let all = Restarts::of(&moments, 1);
            assert_eq!(breach(&all), None, "{} moments", moments.len());
        }
    }
}
