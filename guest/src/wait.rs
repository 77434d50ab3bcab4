// SPDX-License-Identifier: GPL-2.0-only

//! Waiting for what nobody tells of: looking again and again, ever less often. Each look costs the
//! others more than the looker, most of all where a switch between processes empties the TLB.

use crate::protocol::SCALE;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// Time between two looks, as [`pause`] has it.
const LOOK_AGAIN: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_millis(20);
/// The most by which a limit grows.
const MOST: f64 = 100.0;
/// Which part of what has been waited it is.
const PART: u32 = 8;

/// A limit of a test as this machine has it: as much longer as it is slower than usual, by [`SCALE`].
pub fn scaled(usual: Duration) -> Duration {
    usual.mul_f64(factor(std::env::var(SCALE).ok().as_deref()))
}

/// The factor that a text names; what is none counts as 1.
fn factor(text: Option<&str>) -> f64 {
    let named = text.and_then(|text| text.parse::<f64>().ok());
    named
        .filter(|factor| factor.is_finite())
        .unwrap_or(1.0)
        .clamp(1.0, MOST)
}

/// How long to leave alone what has been waited for so long already, within bounds.
pub fn pause(waited: Duration, bounds: RangeInclusive<Duration>) -> Duration {
    (waited / PART).clamp(*bounds.start(), *bounds.end())
}

/// Looks until there is an answer; `None` when that takes too long.
pub fn answer<T>(
    patience: Duration,
    mut look: impl FnMut() -> Result<Option<T>, String>,
) -> Result<Option<T>, String> {
    let start = Instant::now();
    loop {
        if let Some(answer) = look()? {
            return Ok(Some(answer));
        }
        let waited = start.elapsed();
        if waited > patience {
            return Ok(None);
        }
        std::thread::sleep(pause(waited, LOOK_AGAIN));
    }
}

/// Waits until something has come about; fails with `otherwise` when that takes too long.
pub fn until(
    patience: Duration,
    otherwise: &str,
    mut come_about: impl FnMut() -> bool,
) -> Result<(), String> {
    answer(patience, || Ok(come_about().then_some(())))?.ok_or_else(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_that_is_none_changes_nothing() {
        let found = ["2.5", "0.1", "1e9", "NaN", "inf", "fast"].map(|text| factor(Some(text)));
        assert_eq!(found, [2.5, 1.0, MOST, 1.0, 1.0, 1.0]);
        assert_eq!(factor(None), 1.0);
    }

    #[test]
    fn an_answer_ends_the_wait_and_so_does_impatience() {
        let mut looks = 0;
        let found = answer(Duration::from_secs(60), || {
            looks += 1;
            Ok((looks == 3).then_some("there"))
        });
        assert_eq!((found, looks), (Ok(Some("there")), 3));
        assert_eq!(answer(Duration::ZERO, || Ok(None::<()>)), Ok(None));
        assert_eq!(
            answer(Duration::ZERO, || Err::<Option<()>, _>("no".to_owned())),
            Err("no".to_owned())
        );
        assert_eq!(
            until(Duration::ZERO, "never", || false),
            Err("never".to_owned())
        );
    }
}
