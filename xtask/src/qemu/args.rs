// SPDX-License-Identifier: GPL-2.0-only

//! QEMU's command line, from a [`BootSpec`]: pure. QEMU runs in the guest's
//! folder, so sockets and logs are plain file names: no socket path grows past
//! the 108 bytes that a unix socket address holds, and the line can be pasted elsewhere.

use guest::protocol::{CONTROL_PORT, FILES_PORT, RESULTS_PORT};

use crate::arch::Arch;
use crate::qemu::{Accelerator, BootSpec};

/// Kernel log, in the guest's folder.
pub const CONSOLE_LOG: &str = "console.log";
/// What the guest's programs report, as KTAP, in the guest's folder.
pub const RESULTS_LOG: &str = "results.ktap";
/// Socket of the control port, in the guest's folder.
pub const CONTROL_SOCKET: &str = "control.sock";
/// Socket of the serial line, which the kernel log goes to: for keys of sysrq.
pub const CONSOLE_SOCKET: &str = "console.sock";
/// Name of the serial line for QEMU's monitor.
pub const CONSOLE_ID: &str = "console";
/// Socket of QEMU's monitor, which speaks QMP.
pub const MONITOR_SOCKET: &str = "monitor.sock";
/// Socket of the files port, in the guest's folder.
pub const FILES_SOCKET: &str = "files.sock";

/// The arguments of QEMU, without its name ([`BootSpec::qemu`]).
pub fn argv(spec: &BootSpec) -> Vec<String> {
    let mut args = common(spec);
    // What the kernel prints goes into the log whether somebody is connected or not.
    args.extend(serial(&format!(
        "socket,id={CONSOLE_ID},server=on,wait=off,path={CONSOLE_SOCKET},logfile={CONSOLE_LOG}"
    )));
    args.extend([
        "-qmp".into(),
        format!("unix:{MONITOR_SOCKET},server=on,wait=off"),
    ]);
    args.extend(ports());
    args
}

/// The same guest with its console on the terminal and nobody at its ports.
pub fn interactive_argv(spec: &BootSpec) -> Vec<String> {
    let mut args = common(spec);
    args.extend(serial(&format!("stdio,id={CONSOLE_ID},signal=off")));
    args
}

/// Everything but what the guest talks through.
fn common(spec: &BootSpec) -> Vec<String> {
    let mut args = machine(spec);
    args.extend(words(
        "-nodefaults -no-user-config -display none -no-reboot",
    ));
    args.extend([
        "-smp".into(),
        spec.cpus.to_string(),
        "-m".into(),
        format!("{}M", spec.memory_mib),
    ]);
    args.extend(["-kernel".into(), spec.kernel.display().to_string()]);
    args.extend(["-initrd".into(), spec.initramfs.display().to_string()]);
    args.extend(["-append".into(), command_line(spec)]);
    args
}

/// Machine, processor and accelerator.
fn machine(spec: &BootSpec) -> Vec<String> {
    let machine = match spec.arch {
        // Without ACPI the virtio devices come on the kernel's command line and processors from the
        // MP table. The PIT and the clock stay: without the one the kernel finds no timer to calibrate
        // by, without the other it waits a second for it.
        Arch::X86_64 => {
            "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,auto-kernel-cmdline=on"
        }
        Arch::Arm64 => match spec.accel {
            Accelerator::Tcg => "virt,gic-version=3",
            Accelerator::Kvm => "virt,gic-version=host",
        },
    };
    let accel = match spec.accel {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg,thread=multi",
    };
    words("-machine")
        .into_iter()
        .chain([
            machine.to_string(),
            "-accel".into(),
            accel.into(),
            "-cpu".into(),
            spec.cpu.clone(),
        ])
        .collect()
}

/// The kernel's command line. A panic resets the machine at once, which `-no-reboot` turns into QEMU's end.
fn command_line(spec: &BootSpec) -> String {
    let mut line = vec![format!("console={}", spec.arch.console())];
    line.extend(words("panic=-1 oops=panic loglevel=7"));
    match spec.arch {
        Arch::X86_64 => {
            line.extend(words("reboot=t no_timer_check"));
            if spec.accel == Accelerator::Tcg {
                // Translated code calibrates long and badly; the value only scales short delays.
                line.push("lpj=10000000".into());
                // It cannot find out by itself how fast the counter goes; all processors see the same.
                if let Some(khz) = spec.tsc_khz {
                    line.push(format!("tsc=reliable tsc_early_khz={khz}"));
                }
            }
        }
        Arch::Arm64 => {}
    }
    line.extend(spec.append.iter().cloned());
    line.join(" ")
}

/// The serial port and what it is connected to; the kernel log has it to itself.
fn serial(chardev: &str) -> Vec<String> {
    let line = format!("chardev:{CONSOLE_ID}");
    ["-chardev", chardev, "-serial", &line]
        .map(str::to_string)
        .to_vec()
}

/// The virtio-serial ports of `guest::protocol`.
fn ports() -> Vec<String> {
    let socket = |path: &str| format!("socket,server=on,wait=off,path={path}");
    let ports = [
        ("control", CONTROL_PORT, socket(CONTROL_SOCKET)),
        ("results", RESULTS_PORT, format!("file,path={RESULTS_LOG}")),
        ("files", FILES_PORT, socket(FILES_SOCKET)),
    ];
    let mut args = words("-device virtio-serial-device");
    for (id, name, backend) in ports {
        let (kind, rest) = backend.split_once(',').unwrap_or((&backend, ""));
        args.extend(["-chardev".into(), format!("{kind},id={id},{rest}")]);
        args.extend([
            "-device".into(),
            format!("virtserialport,chardev={id},name={name}"),
        ]);
    }
    args
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(arch: Arch, accel: Accelerator) -> BootSpec {
        BootSpec {
            arch,
            qemu: arch.qemu().into(),
            kernel: "/lab/kernel".into(),
            initramfs: "/lab/initramfs.cpio".into(),
            cpus: 2,
            memory_mib: 512,
            cpu: "max".into(),
            accel,
            tsc_khz: Some(2_500_000),
            append: vec!["lab.extra=1".into()],
            console_mib: crate::qemu::console_mib(),
            dump_memory: false,
        }
    }

    #[test]
    fn x86_64_under_tcg() {
        insta::assert_snapshot!(argv(&spec(Arch::X86_64, Accelerator::Tcg)).join("\n"));
    }

    #[test]
    fn arm64_under_tcg() {
        insta::assert_snapshot!(argv(&spec(Arch::Arm64, Accelerator::Tcg)).join("\n"));
    }

    #[test]
    fn x86_64_under_kvm() {
        insta::assert_snapshot!(argv(&spec(Arch::X86_64, Accelerator::Kvm)).join("\n"));
    }
}
