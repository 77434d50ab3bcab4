// SPDX-License-Identifier: GPL-2.0-only

//! `restart(2)`: called by every task of the tree that is to be put in the place of the saved one,
//! and in coordinator mode by its parent. The order of things is `crate::restart`'s.

use super::failure::{self, Context as _, Failure};
use super::loader::Loader;
use super::monitor::{error, Context, Plan};
use super::{contexts, creds, files, fs, limits, memory, regs, signals, task, thread, vdso};
use crate::image::header::Kind;
use crate::image::record::head::{Host, HEAD_OWN_IDS};
use crate::image::record::{End, Head, TaskEnd, Tree, TreeEntry};
use crate::image::tree;
use crate::restart::monitor::take_part;
use crate::restart::trace::Place;
use crate::restart::{Actor, Mode, Monitor as _, Point, Turn, Work};
use kernel::alloc::{flags::GFP_KERNEL_ACCOUNT, KBox, KVVec};
use kernel::error::code::*;
use kernel::fs::File;
use kernel::page::PAGE_SIZE;
use kernel::pid::{kill_current, Pid};
use kernel::regset::cpu_features;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;
use kernel::task::Task;
use kernel::task_current::current_task;

/// The caller is the root's parent and is not restored.
const COORDINATOR: u64 = 1 << 0;
/// Pids differ from the saved ones; the upper half of the flags is the caller's saved pid.
const NEW_PIDS: u64 = 1 << 1;

/// What the caller wants, by its arguments.
struct Call {
    root: ARef<Pid>,
    mode: Mode,
    /// The image, if the caller is the owner.
    image: Option<ARef<File>>,
    new_pids: bool,
    saved_pid: i32,
}

/// The system call.
pub(crate) fn restart(pid: i32, fd: i32, flags: usize, logfd: i32) -> isize {
    let log = match failure::log_file(logfd) {
        Ok(log) => log,
        Err(failure) => return failure.result(),
    };
    let joined = Call::parse(pid, fd, flags as u64).and_then(|call| call.join(log.is_some()));
    match joined {
        Ok((context, actor)) => run(&context, actor, log.as_deref()),
        Err(failure) => {
            failure::log(log.as_deref(), "restart", own_pid(), &failure);
            failure.result()
        }
    }
}

fn own_pid() -> i32 {
    let current: ARef<Task> = current_task();
    current
        .get_pid_ns()
        .map_or(0, |ns| current.numbers_in(&ns).pid)
}

/// Takes part until the end. Returns to a restored program, to a caller with an errno, or not at
/// all: a task that is neither what it was nor what it was to be is killed.
fn run(context: &Arc<Context>, actor: Actor, log: Option<&File>) -> isize {
    let mut part = Part {
        context,
        actor,
        log,
        resumed: None,
        held: None,
    };
    let ending = take_part(&**context, actor, &mut part);
    context.at(actor, place_left(ending.turn));
    contexts::end(context, errno_for_the_late(ending.turn));
    // All the others know by now: a log may be a pipe that nobody reads.
    part.log_end();
    let resumed = part.resumed.take();
    match ending.turn {
        Turn::Release => resumed.map_or(0, Resumed::go),
        Turn::Abort { errno, kill } => {
            if kill {
                kill_current();
                if let Some(held) = part.held.take() {
                    files::leave_to_exit(held);
                }
            }
            -(errno as isize)
        }
        // `take_part` ends with one of the two above.
        Turn::Wait | Turn::Restore | Turn::Verify => EINVAL.to_errno() as isize,
    }
}

/// What they get who come when the restart has ended with this turn: `ESRCH` if it went well, since there is
/// nobody whom they could become.
fn errno_for_the_late(turn: Turn) -> i32 {
    match turn {
        Turn::Abort { errno, .. } => errno,
        _ => -ESRCH.to_errno(),
    }
}

/// How a participant leaves that has come to this turn.
fn place_left(turn: Turn) -> Place {
    match turn {
        Turn::Abort { errno, kill } => Place::Left {
            errno: errno as u16,
            killed: kill,
        },
        _ => Place::Left {
            errno: 0,
            killed: false,
        },
    }
}

impl Call {
    fn parse(pid: i32, fd: i32, flags: u64) -> Result<Self, Failure> {
        let unknown = flags as u32 as u64 & !(COORDINATOR | NEW_PIDS);
        if unknown != 0 {
            return Err(Failure::mismatch(EINVAL, "unknown flags", 0, unknown));
        }
        let new_pids = flags & NEW_PIDS != 0;
        let saved_pid = (flags >> 32) as u32 as i32;
        let is_coordinator = flags & COORDINATOR != 0;
        if !is_coordinator && new_pids != (saved_pid > 0) {
            return Err(Failure::mismatch(EINVAL, "saved pid in the flags", new_pids.into(), flags >> 32));
        }
        if fd < -1 {
            return Err(Failure::doing(EBADF, "taking the image's file from fd"));
        }
        let root = Pid::find(pid).ok_or(ESRCH).doing("finding the root")?;
        let own = kernel::current!().pid_struct();
        let is_root = own.is_some_and(|own| core::ptr::eq::<Pid>(&*own, &*root));
        if is_coordinator && is_root {
            return Err(Failure::doing(EINVAL, "coordinating: the caller is the root"));
        }
        // The root brings the image unless its coordinator does.
        let owns = is_coordinator || (is_root && fd >= 0);
        if owns != (fd >= 0) {
            return Err(Failure::mismatch(EBADF, "fd of the image", owns.into(), (fd >= 0).into()));
        }
        let image = u32::try_from(fd).ok().map(File::of_descriptor).transpose();
        Ok(Self {
            root,
            mode: if is_coordinator { Mode::Coordinator } else { Mode::Root },
            image: image.doing("taking the image's file from fd")?,
            new_pids,
            saved_pid,
        })
    }

    /// Begins the restart as its owner, or joins it.
    fn join(self, logs: bool) -> Result<(Arc<Context>, Actor), Failure> {
        let current: ARef<Task> = current_task();
        let root = self.root.process().ok_or(ESRCH).doing("finding the root")?;
        if let Some(file) = self.image.clone() {
            return self.begin(&root, file, logs);
        }
        may_be_replaced()?;
        if !current.is_in_tree_of(&root) {
            return Err(Failure::doing(EPERM, "joining the restart: the caller is not of the root's tree"));
        }
        let is_root = core::ptr::eq::<Task>(&*current, &*root);
        let context = contexts::find(&self.root, is_root)?;
        let slot = self.slot_in(&context)?;
        // Inside nobody gets more rights, or other ones.
        if !creds::may_replace(&context.owner, &current) {
            let what = "joining the restart: the caller has rights that who began it lacks";
            return Err(Failure::doing(EPERM, what));
        }
        if (slot == 0) != is_root {
            let what = "joining the restart: the first task of the image is the root, and nobody else";
            return Err(Failure::doing(EINVAL, what));
        }
        context.enter(slot)?;
        Ok((context, Actor::Slot(slot)))
    }

    fn slot_in(&self, context: &Context) -> Result<usize, Failure> {
        if self.new_pids != context.plan.new_pids {
            return Err(Failure::mismatch(
                EINVAL,
                "new pids",
                context.plan.new_pids.into(),
                self.new_pids.into(),
            ));
        }
        let pid = if self.new_pids {
            self.saved_pid
        } else {
            kernel::current!().numbers_in(&context.ns).pid
        };
        context
            .plan
            .slot_of(pid)
            .ok_or(ESRCH)
            .doing_on("finding in the image the task", pid as u64)
    }

    /// Begins the restart. Once it is announced, those who wait for it, and those who come, learn it if it cannot.
    fn begin(self, root: &ARef<Task>, file: ARef<File>, logs: bool) -> Result<(Arc<Context>, Actor), Failure> {
        let current: ARef<Task> = current_task();
        let is_child = || root.real_parent().is_some_and(|parent| parent.is_of_same_process(&current));
        if self.mode == Mode::Coordinator && !is_child() {
            return Err(Failure::doing(ESRCH, "coordinating: the root is no child of the caller"));
        }
        // A child may have come by more rights than its parent, who is not to say what becomes of it.
        if self.mode == Mode::Coordinator && !creds::may_replace(&current, root) {
            return Err(Failure::doing(EPERM, "coordinating: the root has rights that the caller lacks"));
        }
        if self.mode == Mode::Root {
            may_be_replaced()?;
        }
        let loader = Loader::new(file)?;
        contexts::announce(&self.root)?;
        let pid = self.root.clone();
        self.begin_announced(root, loader, logs).inspect_err(|failure| {
            let errno = -(failure.result() as i32);
            contexts::abandon(&pid, errno);
        })
    }

    fn begin_announced(
        self,
        root: &ARef<Task>,
        mut loader: Loader,
        logs: bool,
    ) -> Result<(Arc<Context>, Actor), Failure> {
        let plan = read_plan(&mut loader, self.new_pids)?;
        let ns = root
            .get_pid_ns()
            .ok_or(ESRCH)
            .doing("finding the root's pid namespace")?;
        let first = plan.entries.first().map_or(0, |entry| entry.pid);
        let own = match (self.mode, self.new_pids) {
            (Mode::Root, true) => self.saved_pid,
            (Mode::Root, false) => kernel::current!().numbers_in(&ns).pid,
            (Mode::Coordinator, true) => first,
            (Mode::Coordinator, false) => root.numbers_in(&ns).pid,
        };
        if own != first {
            return Err(Failure::mismatch(EINVAL, "pid of the root", first as u64, own as u64));
        }
        let loader = KBox::new(loader, GFP_KERNEL_ACCOUNT).doing("keeping the image")?;
        let actor = match self.mode {
            Mode::Root => Actor::Slot(0),
            Mode::Coordinator => Actor::Coordinator,
        };
        let context = Context::new(self.mode, self.root, ns, plan, loader, logs)?;
        contexts::publish(&context)?;
        // A root that is alone has nobody to wait for.
        Ok((context, actor))
    }
}

/// Refuses a caller in whose place no saved task can be put.
fn may_be_replaced() -> Result<(), Failure> {
    task::refuse_to_become()?;
    if Task::current_shares_anything() {
        let what = "joining the restart: the caller shares threads, memory, files or handlers";
        return Err(Failure::doing(EINVAL, what));
    }
    Ok(())
}

/// Reads HEAD and TREE, and checks them against this machine.
fn read_plan(loader: &mut Loader, new_pids: bool) -> Result<Plan, Failure> {
    let record = loader.take(Kind::Head)?;
    let head: Head<'_> = record.body(loader.limits)?;
    let current: ARef<Task> = current_task();
    let mut features = [0; 32];
    let words = cpu_features(&mut features);
    let mm = current.address_space().ok_or(ESRCH).doing("finding the own address space")?;
    head.check_host(
        &record.view(),
        &Host {
            arch: current.elf_machine().into(),
            page_size: PAGE_SIZE as u32,
            vdso_hash: vdso::hash(&mm)?,
            features: features.get(..words).unwrap_or(&[]),
        },
    )?;
    if head.flags & HEAD_OWN_IDS != 0 && current.is_in_first_user_namespace() {
        let what = "user namespace other than the first, which this one is, of the image";
        return Err(Failure::doing(EPERM, what));
    }
    let nr = head.nr_tasks as usize;
    loader.expect_tasks(nr as u64)?;
    let mut entries: KVVec<TreeEntry> = KVVec::new();
    let mut last = record;
    while entries.len() < nr {
        last = loader.take(Kind::Tree)?;
        let tree: Tree<'_> = last.body(loader.limits)?;
        for entry in &tree.entries {
            entries.push(entry, GFP_KERNEL_ACCOUNT).doing("listing the tree")?;
        }
    }
    let mut index = KVVec::new();
    index
        .extend_with(entries.len(), 0u32, GFP_KERNEL_ACCOUNT)
        .doing("listing the tree")?;
    tree::check(&entries, &mut index).map_err(|(_, fault)| last.fault(fault))?;
    Ok(Plan {
        entries,
        index,
        new_pids,
    })
}

/// A participant at work.
struct Part<'a> {
    context: &'a Arc<Context>,
    actor: Actor,
    log: Option<&'a File>,
    resumed: Option<Resumed>,
    /// What the caller had open: closed when it is known, and logged, how the restart has ended.
    held: Option<files::Held>,
}

impl Part<'_> {
    fn slot(&self) -> Option<(usize, TreeEntry)> {
        match self.actor {
            Actor::Slot(slot) => Some((slot, *self.context.plan.entries.get(slot)?)),
            Actor::Coordinator => None,
        }
    }

    /// Logs why the restart has failed. The owner does, so that it is written when the call that began it
    /// returns; whose failure it was, if the owner has no log. One that is killed may be unable to write.
    fn log_end(&self) {
        let Some(first) = self.context.failure() else {
            return;
        };
        let own = first.actor == self.actor && !self.context.owner_logs;
        if !self.context.is_owner(self.actor) && !own {
            return;
        }
        let (missing, pid) = match first.actor {
            Actor::Slot(slot) => (
                self.context.member(slot).is_none(),
                self.context.plan.entries.get(slot).map_or(0, |entry| entry.pid),
            ),
            Actor::Coordinator => (false, own_pid()),
        };
        let what = if missing {
            "waiting for the task: nobody is left who could become it"
        } else {
            "waiting for the other tasks: a signal came"
        };
        let failure = self.context.reason_of(first.actor);
        let failure = failure.unwrap_or(Failure::doing(error(first.errno), what));
        failure::log(self.log, "restart", pid, &failure);
    }

    /// Runs `act` on the image, and gives the errno of a failure, positive.
    fn with_image(
        &mut self,
        act: impl FnOnce(&mut Self, &mut Loader) -> Result<(), Failure>,
    ) -> Result<(), i32> {
        let Some(mut loader) = self.context.take_loader() else {
            return Err(-EINVAL.to_errno());
        };
        let done = act(self, &mut loader);
        self.context.put_loader(loader);
        done.map_err(|failure| {
            self.context.keep_reason(self.actor, failure);
            -(failure.result() as i32)
        })
    }
}

impl Work for Part<'_> {
    fn restore(&mut self) -> Result<(), i32> {
        self.with_image(|part, loader| {
            let (slot, entry) = part
                .slot()
                .ok_or(Failure::doing(EINVAL, "finding the own slot"))?;
            check_place(part.context, slot, &entry)?;
            part.held = Some(files::hold_current()?);
            let midway = || part.context.pass(part.actor, Point::Restoring);
            part.resumed = Some(restore(&entry, loader, midway)?);
            Ok(())
        })
    }

    fn verify(&mut self) -> Result<(), i32> {
        self.with_image(|_, loader| {
            let record = loader.take(Kind::End)?;
            let _: End = record.body(loader.limits)?;
            loader.finish();
            Ok(())
        })
    }
}

/// Checks that the caller stands where the image says: below the right parent, in the right
/// process group and session, as far as those are in the tree.
fn check_place(context: &Context, slot: usize, entry: &TreeEntry) -> Result<(), Failure> {
    let current: ARef<Task> = current_task();
    let plan = &context.plan;
    let number = |saved: i32| -> Option<i32> {
        let member = context.member(plan.slot_of(saved)?)?;
        Some(member.process()?.numbers_in(&context.ns).pid)
    };
    let own = current.numbers_in(&context.ns);
    for (what, saved, found, ask) in [
        ("parent", entry.ppid, own.ppid, slot > 0),
        ("process group", entry.pgid, own.pgid, true),
        ("session", entry.sid, own.sid, true),
    ] {
        if !ask {
            continue;
        }
        if let Some(expected) = number(saved).filter(|expected| *expected != found) {
            return Err(Failure::mismatch(ESRCH, what, expected as u64, found as u64));
        }
    }
    Ok(())
}

/// A restored task that has not gone on yet: what must not happen before all are restored.
struct Resumed {
    result: isize,
    mask: signals::Mask,
}

impl Resumed {
    /// Lets the program go on: its signal mask comes last, and the way back to user space looks at
    /// signals and at an interrupted system call.
    fn go(self) -> isize {
        self.mask.set();
        self.result
    }
}

/// Puts the saved task in the place of the calling one. `midway` is called when the memory is the
/// restored one and the rest is not.
fn restore(
    entry: &TreeEntry,
    input: &mut Loader,
    midway: impl FnOnce(),
) -> Result<Resumed, Failure> {
    let late = task::load(input, entry.pid)?;
    let credentials = input.take(Kind::Creds)?;
    fs::load(input)?;
    files::load(input)?;
    thread::forget()?;
    memory::load(input)?;
    midway();
    let general = regs::load(input)?;
    let words = thread::load(input)?;
    let mask = signals::load(input)?;
    limits::load(input)?;
    let end = input.take(Kind::TaskEnd)?;
    let _: TaskEnd = end.body(input.limits)?;
    // Credentials come late: what the invoker may open, and only that, has been opened by the
    // invoker. Attributes behind them, because a change of ids resets some.
    creds::load(&credentials, input)?;
    files::check_replaced(input)?;
    late.set();
    let result = general.load(input, words)?;
    Ok(Resumed { result, mask })
}
