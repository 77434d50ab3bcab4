// SPDX-License-Identifier: GPL-2.0-only

//! The steps of a scenario file: the data. What they do is in `steps`,
//! `images`, `trees` and `reboot`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::arch::Arch;
use crate::scenario::matrix;

/// One step: a table with one key, the step's name.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Starts a program and goes on.
    Spawn(Spawn),
    /// Runs a program to its end.
    Run(Run),
    /// Waits until a file holds a text.
    WaitFor(WaitFor),
    /// Waits.
    SleepMs(u64),
    /// Sends a signal.
    Signal(Signal),
    /// Checkpoints a tree.
    Checkpoint(Checkpoint),
    /// Restarts a tree from an image.
    Restart(Restart),
    /// Waits for a program's end and judges it.
    ExpectExit(ExpectExit),
    /// Judges a file.
    ExpectFile(ExpectFile),
    /// Judges how many tasks there are.
    ExpectTasks(ExpectTasks),
    /// Remembers what /proc shows of a tree.
    Snapshot(Snapshot),
    /// Compares what /proc shows of a tree with what it was.
    Compare(Compare),
    /// Restarts an image damaged at each of its records, one after the other.
    ForEachRecord(ForEachRecord),
    /// Changes an image into another one that is whole.
    EditImage(EditImage),
    /// Compares an image with another one, byte for byte.
    CompareImages(CompareImages),
    /// Goes on in a fresh guest.
    Reboot(Reboot),
    /// Makes or replaces a file.
    Write(WriteFile),
    /// Copies a file into the run's folder.
    Keep(String),
}

impl Step {
    /// Whether it takes a kernel with checkpoint and restart.
    pub fn needs_syscalls(&self) -> bool {
        matches!(
            self,
            Step::Checkpoint(_) | Step::Restart(_) | Step::ForEachRecord(_)
        )
    }
}

/// See [`Step::Spawn`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Spawn {
    /// Name for later steps, and of its output files `<name>.out` and `<name>.err`.
    pub name: String,
    /// Program and arguments.
    #[serde(deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub argv: Vec<String>,
    /// Added to its environment.
    #[serde(default, deserialize_with = "matrix::named_texts")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub env: BTreeMap<String, String>,
    /// As pid 1 of fresh pid and mount namespaces.
    #[serde(default)]
    pub container: bool,
    /// As this user.
    pub uid: Option<u32>,
    /// File to read from (default /dev/null).
    pub stdin: Option<String>,
    /// File to write to.
    pub stdout: Option<String>,
}

/// See [`Step::Run`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Run {
    /// Program and arguments.
    #[serde(deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub argv: Vec<String>,
    /// Exit code it must have.
    #[serde(default)]
    pub code: i32,
    /// Texts that its output must have.
    #[serde(default, deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub has: Vec<String>,
    /// Texts that its output must not have.
    #[serde(default, deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub lacks: Vec<String>,
    /// As this user.
    pub uid: Option<u32>,
    /// Seconds it may take (default 20).
    pub timeout_s: Option<u64>,
}

/// See [`Step::WaitFor`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WaitFor {
    /// The file.
    pub file: String,
    /// The text.
    #[serde(deserialize_with = "matrix::text")]
    #[schemars(with = "String")]
    pub text: String,
    /// How often it must be there.
    #[serde(default = "once")]
    pub count: u64,
    /// Seconds it may take (default 20).
    pub timeout_s: Option<u64>,
}

/// See [`Step::Signal`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Signal {
    /// Name of a spawned or restarted tree.
    pub to: String,
    /// Name of the signal, without SIG.
    pub signal: String,
    /// The root alone, or every task.
    #[serde(default)]
    pub whom: Whom,
}

/// Which tasks of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// Its root.
    #[default]
    Root,
    /// All of them.
    All,
}

/// See [`Step::Checkpoint`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Checkpoint {
    /// Name of a spawned or restarted tree.
    pub of: String,
    /// File for the image.
    pub image: String,
    /// What becomes of the tree.
    #[serde(default)]
    pub then: Then,
    /// Set if it must be refused, and how.
    pub fails: Option<Fails>,
    /// Seconds it may take (default 20).
    pub timeout_s: Option<u64>,
}

/// What becomes of a tree after its checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// It is killed.
    #[default]
    Kill,
    /// It runs on.
    LeaveRunning,
}

/// A refusal that is expected.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fails {
    /// Exit status of `checkpoint` or `mktree` (default: any but 0).
    pub status: Option<i32>,
    /// Texts that stderr and the log must have, one after the other or not.
    #[serde(default, deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub says: Vec<String>,
}

/// See [`Step::Restart`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Restart {
    /// Name for later steps.
    pub name: String,
    /// File of the image.
    pub image: String,
    /// Which pids the tasks get.
    #[serde(default)]
    pub pids: Pids,
    /// Who coordinates.
    #[serde(default)]
    pub mode: Mode,
    /// Further options of `mktree`.
    #[serde(default, deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub options: Vec<String>,
    /// As this user.
    pub uid: Option<u32>,
    /// Set if it must be refused, and how.
    pub fails: Option<Fails>,
    /// Seconds it may take (default 20).
    pub timeout_s: Option<u64>,
}

/// Which pids restarted tasks get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pids {
    /// The saved ones, in a fresh pid namespace.
    #[default]
    Original,
    /// New ones.
    New,
}

/// Who coordinates a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The parent of the root.
    #[default]
    Coordinator,
    /// The root.
    Root,
}

/// See [`Step::ExpectExit`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExpectExit {
    /// Name of a spawned or restarted program.
    pub of: String,
    /// Exit code it must have (default 0).
    pub code: Option<i32>,
    /// Signal that must have killed it.
    pub signal: Option<String>,
    /// Least milliseconds from its start to its end.
    pub after_ms: Option<u64>,
    /// Seconds it may take (default 20).
    pub timeout_s: Option<u64>,
}

/// See [`Step::ExpectFile`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExpectFile {
    /// The file.
    pub file: String,
    /// Texts it must have.
    #[serde(default, deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub has: Vec<String>,
    /// Texts it must not have.
    #[serde(default, deserialize_with = "matrix::texts")]
    #[schemars(with = "Vec<String>")]
    pub lacks: Vec<String>,
    /// How often each text of `has` must be there (default: at least once).
    pub count: Option<usize>,
    /// Greatest size in MiB.
    pub max_mib: Option<u64>,
    /// Least size in MiB.
    pub min_mib: Option<u64>,
}

/// See [`Step::ExpectTasks`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExpectTasks {
    /// Name that /proc shows as the tasks' `comm`.
    pub comm: String,
    /// How many there must be.
    pub count: usize,
    /// Seconds until there are (default: now).
    pub timeout_s: Option<u64>,
}

/// See [`Step::Snapshot`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Snapshot {
    /// Name of a spawned or restarted tree.
    pub of: String,
    /// Name of the snapshot.
    pub name: String,
}

/// See [`Step::Compare`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Compare {
    /// Name of a spawned or restarted tree.
    pub of: String,
    /// Name of the snapshot.
    pub with: String,
    /// Whether the tasks have the pids they had.
    #[serde(default)]
    pub pids: Pids,
    /// Whether the mappings are compared; not for programs that allocate all the time.
    #[serde(default = "yes")]
    pub maps: bool,
}

fn yes() -> bool {
    true
}

/// See [`Step::ForEachRecord`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ForEachRecord {
    /// File of the image.
    pub image: String,
    /// The damage.
    #[serde(rename = "do")]
    pub damage: Damage,
    /// `comm` of the tasks that must not be there afterwards.
    pub comm: String,
    /// Which pids the tasks get.
    #[serde(default)]
    pub pids: Pids,
    /// Who coordinates.
    #[serde(default)]
    pub mode: Mode,
}

/// What is done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// One byte is flipped.
    Flip,
    /// It ends there.
    Truncate,
}

/// See [`Step::EditImage`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EditImage {
    /// File of the image.
    pub image: String,
    /// File for the other one.
    pub to: String,
    /// What is changed.
    pub change: Change,
}

/// See [`Step::CompareImages`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CompareImages {
    /// File of the image.
    pub image: String,
    /// File of the one that it is compared with.
    pub with: String,
    /// Names of records that may hold something else.
    #[serde(default)]
    pub except: Vec<String>,
}

/// How an image is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It says that it is of the other architecture.
    OtherArch,
    /// It asks for CPU features that no CPU has.
    MoreFeatures,
}

/// See [`Step::Reboot`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reboot {
    /// Files that come along.
    pub carry: Vec<String>,
    /// CPU model of the fresh guest, by architecture.
    #[serde(default)]
    pub cpu: BTreeMap<Arch, String>,
}

/// See [`Step::Write`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WriteFile {
    /// The file.
    pub file: String,
    /// Its text.
    #[serde(deserialize_with = "matrix::text")]
    #[schemars(with = "String")]
    pub text: String,
}

fn once() -> u64 {
    1
}
