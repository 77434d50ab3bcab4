// SPDX-License-Identifier: GPL-2.0-only

//! The steps that look at trees from outside: snapshots of /proc and their comparison.

use std::collections::BTreeMap;

use guest::protocol::Task;

use crate::scenario::case::{fail, Case, Program, StepResult};
use crate::scenario::step::{Compare, Snapshot};
use crate::scenario::tree::{differences, remember, tasks_of, Remembered};

/// The tasks of a program's tree, root first; there must be some.
pub fn tree_of<'t>(tasks: &'t [Task], name: &str, program: &Program) -> StepResult<Vec<&'t Task>> {
    let tree = tasks_of(tasks, program.pid);
    if tree.is_empty() {
        return fail(format!(
            "no task of {name} (pid {}, {}) is there",
            program.pid,
            program.argv.join(" ")
        ));
    }
    Ok(tree)
}

/// See [`crate::scenario::step::Step::Snapshot`].
pub fn snapshot(case: &mut Case, step: &Snapshot) -> StepResult {
    let remembered = look(case, &step.of)?;
    case.snapshots.insert(step.name.clone(), remembered);
    Ok(())
}

/// See [`crate::scenario::step::Step::Compare`].
pub fn compare(case: &mut Case, step: &Compare) -> StepResult {
    let mut after = look(case, &step.of)?;
    let Some(mut before) = case.snapshots.get(&step.with).cloned() else {
        return fail(format!("there is no snapshot \"{}\"", step.with));
    };
    if !step.maps {
        before
            .iter_mut()
            .chain(&mut after)
            .for_each(|task| task.maps.clear());
    }
    let found = differences(&before, &after, step.pids);
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(12);
    let more = if more > 0 {
        format!("\n... and {more} more")
    } else {
        String::new()
    };
    let shown: Vec<String> = found.into_iter().take(12).collect();
    fail(format!(
        "/proc shows another tree than \"{}\":\n{}{more}",
        step.with,
        shown.join("\n")
    ))
}

fn look(case: &mut Case, name: &str) -> StepResult<Vec<Remembered>> {
    let program = case.program(name)?;
    let tasks = case.tasks()?;
    let tree = tree_of(&tasks, name, &program)?;
    let mut maps = BTreeMap::new();
    for task in &tree {
        if let Some(text) = case.text(&format!("/proc/{}/maps", task.pid))? {
            maps.insert(task.pid, text);
        }
    }
    Ok(remember(&tree, &maps))
}
