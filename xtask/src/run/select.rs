// SPDX-License-Identifier: GPL-2.0-only

//! Which cases a run has, before anything is built: scenarios on architectures, of which a partition
//! takes every N-th. Pure.

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::flags::Partition;
use crate::report::CaseId;
use crate::scenario::Scenario;
use crate::stamp::hash_bytes;

/// A scenario on an architecture.
pub type Chosen<'a> = (&'a Scenario, Arch);

/// Each scenario on each architecture that it is for, as far as they are in the partition. An error if
/// none is left.
pub fn choose<'a>(
    scenarios: &'a [Scenario],
    arches: &[Arch],
    partition: Option<Partition>,
) -> Result<Vec<Chosen<'a>>> {
    let on_each = |scenario: &'a Scenario| {
        let is_for = |arch: &&Arch| scenario.file.arch.contains(arch);
        arches
            .iter()
            .filter(is_for)
            .map(move |arch| (scenario, *arch))
    };
    let all = scenarios.iter().flat_map(on_each).enumerate();
    let is_in = |(at, _): &(usize, Chosen<'a>)| {
        partition.is_none_or(|part| at % part.count as usize == part.index as usize - 1)
    };
    let chosen: Vec<Chosen<'a>> = all.filter(is_in).map(|(_, chosen)| chosen).collect();
    if chosen.is_empty() {
        let arches: Vec<&str> = arches.iter().map(|arch| arch.name()).collect();
        return Err(Error::usage(
            "choosing scenarios",
            format!("none is left for {}", arches.join(", ")),
        )
        .hint("`cargo xtask lab list` shows which scenario is for which architecture"));
    }
    Ok(chosen)
}

/// The seed of a run whose user named none: of six bytes, which every JSON reader holds.
pub fn chance() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // Its keys come from the kernel's generator.
    RandomState::new().build_hasher().finish() >> 16
}

/// The seed of a case: from the run's, the same on every architecture and at every try.
pub fn seed_of(run: u64, case: &CaseId) -> u64 {
    let text = format!("{run} {} {}", case.scenario, case.round);
    let digits = &hash_bytes(text.as_bytes())[..12];
    u64::from_str_radix(digits, 16).unwrap_or(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::case;

    fn scenario(name: &str, arch: &str) -> Scenario {
        let text = format!("description = 'x'\narch = {arch}\n[[step]]\nsleep-ms = 1\n");
        let path = std::path::PathBuf::from(format!("{name}.toml"));
        Scenario::cases(&path, "x", &text).unwrap().remove(0)
    }

    #[test]
    fn parts_are_disjoint_and_make_the_whole() {
        let all = [
            scenario("a", "['x86_64', 'arm64']"),
            scenario("b", "['arm64']"),
            scenario("c", "['x86_64', 'arm64']"),
        ];
        let names = |partition: Option<Partition>| -> Vec<(String, Arch)> {
            let chosen = choose(&all, &Arch::ALL, partition).unwrap();
            let pair = |(scenario, arch): &Chosen<'_>| (scenario.name.clone(), *arch);
            chosen.iter().map(pair).collect()
        };
        let whole = names(None);
        assert_eq!(whole.len(), 5);
        let part = |index| names(Some(Partition { index, count: 3 }));
        let mut joined = [part(1), part(2), part(3)].concat();
        joined.sort();
        let mut sorted = whole;
        sorted.sort();
        assert_eq!(joined, sorted);
        let partition = Some(Partition { index: 6, count: 6 });
        assert!(choose(&all, &Arch::ALL, partition).is_err());
    }

    #[test]
    fn seeds_follow_the_runs_and_differ_by_scenario_and_round() {
        let first = case("tree", Arch::Arm64);
        let mut second = first.clone();
        second.round = 2;
        let seeds = [
            seed_of(1, &first),
            seed_of(2, &first),
            seed_of(1, &second),
            seed_of(1, &case("self", Arch::Arm64)),
        ];
        for (at, seed) in seeds.iter().enumerate() {
            assert!(!seeds[..at].contains(seed), "{seeds:?}");
            assert!(*seed < 1 << 48);
        }
        assert_eq!(seed_of(1, &case("tree", Arch::X86_64)), seeds[0]);
        assert!(chance() < 1 << 48);
    }
}
