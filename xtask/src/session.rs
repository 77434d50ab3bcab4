// SPDX-License-Identifier: GPL-2.0-only

//! What every command starts from: the project, its `lab.toml`, this machine.

use crate::config::LabConfig;
use crate::error::Result;
use crate::event::Sink;
use crate::flags::Target;
use crate::host::Host;
use crate::layout::{read_written, Layout, Lock};
use crate::plan::Plan;
use crate::setup;

/// What every command starts from.
#[derive(Debug)]
pub struct Session {
    /// Where everything is.
    pub layout: Layout,
    /// `lab.toml`.
    pub config: LabConfig,
    /// This machine.
    pub host: Host,
}

impl Session {
    /// Finds the project and reads its `lab.toml`.
    pub fn open() -> Result<Session> {
        let layout = Layout::find()?;
        let config = LabConfig::parse("lab.toml", &read_written(&layout.config())?)?;
        Ok(Session {
            layout,
            config,
            host: Host::probe(),
        })
    }

    /// What is to be built and booted for a target.
    pub fn plan(&self, target: &Target) -> Result<Plan> {
        Plan::new(&self.layout, &self.config, target, &self.host)
    }

    /// Takes the lock and gets the tools that a plan needs: what comes before any building.
    pub fn make_ready(&self, plan: &Plan, sink: &dyn Sink) -> Result<Lock> {
        let lock = self.layout.lock(sink)?;
        setup::ensure(plan, &self.host, sink)?;
        Ok(lock)
    }
}
