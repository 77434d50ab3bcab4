// SPDX-License-Identifier: GPL-2.0-only

//! The rules of a restart that the kernel's own record of it can show to be broken: invariants 1, 2, 4 and 5 of
//! `docs/restart.md`, and 10 but for whether the image's end was right; and that whoever came in has left, as 14 and
//! 18 have it. Every restart that the kernel has kept is held against them.

use crate::report::timeline::{Participant, Place, Restart, Restarts};

/// What is wrong with the first restart that broke a rule. Of restarts that were written over in part, what is
/// left is judged.
pub fn breach(all: &Restarts) -> Option<String> {
    all.restarts.iter().find_map(|restart| {
        let why = broken(restart, all.moments_lost > 0)?;
        Some(told(restart, &why))
    })
}

/// Who came into a restart and never left it, if nothing of the record is missing. To be asked of a record that
/// was read when all who took part were gone, killed ones too: these leave before they die. Only who died inside the
/// kernel, of an oops, may have had no chance to.
pub fn never_left(all: &Restarts) -> Option<String> {
    if all.moments_lost > 0 {
        return None;
    }
    all.restarts.iter().find_map(|restart| {
        let who = restart
            .participants
            .iter()
            .find(|who| who.left().is_none())?;
        let task = who.slot.map_or("", |_| "task ");
        let why = format!(
            "{task}{} of restart {} came to {:?} and never left",
            who.name(),
            restart.number,
            who.path.last()?.place
        );
        Some(told(restart, &why))
    })
}

fn told(restart: &Restart, why: &str) -> String {
    format!(
        "the restart at {:.6} s broke the protocol: {why}",
        restart.began_s
    )
}

fn broken(restart: &Restart, in_part: bool) -> Option<String> {
    out_of_turn(restart)
        .or_else(|| released_too_early(restart))
        .or_else(|| released_without(restart).filter(|_| !in_part))
        .or_else(|| ends_differ(restart))
        .or_else(|| wrongly_spared(restart))
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

/// Nobody goes on before the image's end has been read, and that is read when everybody is restored.
fn released_too_early(restart: &Restart) -> Option<String> {
    let mut all = restart.participants.iter();
    let owner = all.find(|who| who.at(Place::Verify).is_some());
    let read = owner.and_then(|owner| owner.at(Place::Verified));
    let all_known = restart.participants.iter().all(is_whole);
    let early = restart
        .participants
        .iter()
        .filter(|who| goes_on(who))
        .find(|who| {
            let ended = who.at(Place::Ended);
            ended.is_some_and(|ended| read.map_or(all_known, |read| read > ended))
        });
    if let Some(who) = early {
        return Some(format!(
            "{} went on before the image's end was read",
            who.name()
        ));
    }
    let begun = owner.and_then(|owner| owner.at(Place::Verify))?;
    let late = restart.participants.iter().find(|who| {
        who.slot.is_some()
            && match who.at(Place::Restored) {
                Some(restored) => restored > begun,
                None => is_whole(who),
            }
    })?;
    Some(format!(
        "the image's end was read before task {} was restored",
        late.name()
    ))
}

/// Who goes on does so with all tasks of the image.
fn released_without(restart: &Restart) -> Option<String> {
    let who = restart.participants.iter().find(|who| goes_on(who))?;
    let seen = restart.tasks_seen();
    (seen != restart.tasks).then(|| {
        format!(
            "{} went on with {seen} tasks of the image's {}",
            who.name(),
            restart.tasks
        )
    })
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

/// Who has begun to restore itself dies of a failure; who has not is what it was, and lives.
fn wrongly_spared(restart: &Restart) -> Option<String> {
    restart.participants.iter().find_map(|who| {
        let (errno, killed) = who.left()?;
        let changed = who.at(Place::Midway).or(who.at(Place::Restored)).is_some();
        if killed && is_whole(who) && who.at(Place::Turn).is_none() {
            return Some(format!(
                "{} is killed, and had not been changed",
                who.name()
            ));
        }
        (errno != 0 && changed && !killed).then(|| format!("{} goes on, half restored", who.name()))
    })
}

/// Whether it left as the restored task, or as the coordinator of a restart that is done.
fn goes_on(who: &Participant) -> bool {
    who.left().is_some_and(|(errno, _)| errno == 0)
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
        broken(&restart, false)
    }

    #[test]
    fn good_restarts_and_failed_ones_keep_the_rules() {
        assert_eq!(broken(&restart(0), false), None);
        assert_eq!(broken(&restart(4), false), None);
        for errno in [0, 3, 4] {
            let all = Restarts::of(&words(errno), 0);
            assert_eq!((breach(&all), never_left(&all)), (None, None));
        }
    }

    #[test]
    fn who_never_left_is_told_unless_that_may_be_lost() {
        let why = |moments: &[_], lost| never_left(&Restarts::of(moments, lost));
        for (errno, left, expected) in [
            (0, 11, "coordinator 100 of restart 4 came to Ended"),
            (0, 13, "task 1 (now 101) of restart 4 came to Ended"),
            (0, 15, "task 2 (now 102) of restart 4 came to Ended"),
            (4, 13, "task 2 (now 102) of restart 4 came to Ended"),
        ] {
            let mut moments = words(errno);
            moments.remove(left);
            let expected =
                format!("the restart at 2.000000 s broke the protocol: {expected} and never left");
            assert_eq!(why(&moments, 0), Some(expected));
            assert_eq!(why(&moments, 1), None);
        }
        let stuck = why(&words(0)[..6], 0).unwrap();
        assert!(stuck.contains("coordinator 100 of restart 4 came to Entered and never left"));
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
                "coordinator 100 went on before the image's end was read",
                with(0, 0, Place::Verified, Some(11500.0)),
            ),
            (
                "coordinator 100 went on with 2 tasks of the image's 3",
                of_more_tasks(),
            ),
            (
                "1 (now 101) goes on, half restored",
                with_end(4, 1, refused),
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

    fn of_more_tasks() -> Option<String> {
        let mut restart = restart(0);
        restart.tasks = 3;
        assert_eq!(broken(&restart, true), None);
        broken(&restart, false)
    }

    fn with_end(errno: u16, who: usize, end: Place) -> Option<String> {
        let mut restart = restart(errno);
        restart.participants[who].path.last_mut().unwrap().place = end;
        broken(&restart, false)
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
