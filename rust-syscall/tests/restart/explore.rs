// SPDX-License-Identifier: GPL-2.0-only

//! Walk over all states that a restart can reach, by all events.

use crate::invariants::{check_state, check_step};
use crate::machine::{all_events, Machine, Step, View};
use checkpoint::restart::{Mode, Phase};
use std::collections::HashMap;
use std::fmt;

/// All states of one shape of restart, and the steps between them.
pub struct Graph {
    pub views: Vec<View>,
    /// Steps that change something, by numbers of the states.
    pub steps: Vec<(usize, usize)>,
    /// Accepted events that change nothing.
    pub idle: usize,
    pub refused: usize,
}

impl Graph {
    /// Puts every event in every state that can be reached, and checks all
    /// invariants of states and steps.
    pub fn explore(mode: Mode, nr: usize) -> Self {
        let start = Machine::new(mode, nr);
        let events = all_events(nr);
        let mut graph = Graph {
            views: vec![start.view()],
            steps: Vec::new(),
            idle: 0,
            refused: 0,
        };
        check_state(&graph.views[0]);
        let mut machines = vec![start.clone()];
        let mut numbers = HashMap::from([(start, 0)]);
        let mut from = 0;
        while let Some(before) = machines.get(from).cloned() {
            for event in &events {
                let mut after = before.clone();
                let outcome = after.step(*event);
                let to = *numbers.entry(after).or_insert_with_key(|after| {
                    machines.push(after.clone());
                    graph.views.push(after.view());
                    check_state(graph.views.last().unwrap());
                    machines.len() - 1
                });
                check_step(&Step {
                    before: &graph.views[from],
                    event: *event,
                    outcome,
                    after: &graph.views[to],
                });
                match outcome {
                    Ok(_) if from != to => graph.steps.push((from, to)),
                    Ok(_) => graph.idle += 1,
                    Err(_) => graph.refused += 1,
                }
            }
            from += 1;
        }
        graph
    }

    /// States in which nobody is inside any more.
    pub fn ends(&self) -> usize {
        self.views.iter().filter(|view| view.inside == 0).count()
    }

    pub fn failed(&self) -> usize {
        let failed = |view: &&View| matches!(view.phase, Phase::Failed(_));
        self.views.iter().filter(failed).count()
    }

    /// The number of different sequences of steps from the beginning to a
    /// state that nothing changes any more. As every step moves forward, each
    /// is finite.
    pub fn interleavings(&self) -> u128 {
        let mut order: Vec<_> = self.steps.clone();
        order.sort_by_key(|(from, _)| self.views[*from].progress());
        let mut ways = vec![0u128; self.views.len()];
        ways[0] = 1;
        let mut goes_on = vec![false; self.views.len()];
        for (from, to) in order {
            ways[to] += ways[from];
            goes_on[from] = true;
        }
        let ended = ways.iter().zip(&goes_on).filter(|(_, goes_on)| !**goes_on);
        ended.map(|(ways, _)| ways).sum()
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6} states ({:6} failed, {:5} ends), {:7} steps, {:7} idle, {:8} refused, {:.1e} interleavings",
            self.views.len(),
            self.failed(),
            self.ends(),
            self.steps.len(),
            self.idle,
            self.refused,
            self.interleavings() as f64,
        )
    }
}
