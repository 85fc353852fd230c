//! The walls: what the child gives up before it reads a byte of the artifact.
//!
//! Resource limits, Landlock and seccomp are independent, so that one covers a hole in another.

use std::collections::BTreeMap;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetStatus, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Compare,
    SeccompCondition as Condition, SeccompFilter, SeccompRule, TargetArch,
};

/// A wall, by the name that the log and the probe use.
#[derive(Clone, Copy)]
enum Wall {
    /// Memory, processor time, file sizes, descriptors, core dumps.
    Limits,
    /// Landlock: no path can be opened, whatever the permissions say.
    Files,
    /// Seccomp: no system call but those that reading and computing take.
    SystemCalls,
}

impl Wall {
    /// Its name.
    const fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Files => "landlock",
            Self::SystemCalls => "seccomp",
        }
    }
}

/// Puts up every wall; returns those that could not be, and why.
pub(super) fn raise(memory: u64, cpu_seconds: u64, leave_out: &[String]) -> Vec<String> {
    let mut missing = Vec::new();
    // In this order: the limits leave no descriptor for Landlock, and seccomp forbids what puts up the others.
    for wall in [Wall::Files, Wall::Limits, Wall::SystemCalls] {
        if leave_out.iter().any(|name| name == wall.name()) {
            continue;
        }
        let raised = match wall {
            Wall::Files => landlock(),
            Wall::Limits => limits(memory, cpu_seconds),
            Wall::SystemCalls => seccomp(),
        };
        if let Err(why) = raised {
            missing.push(format!("{} ({why})", wall.name()));
        }
    }
    missing
}

fn limits(memory: u64, cpu_seconds: u64) -> Result<(), String> {
    let told = |error: rustix::io::Errno| error.to_string();
    for (resource, limit) in [
        (Resource::Core, 0),
        (Resource::As, memory),
        (Resource::Cpu, cpu_seconds),
        (Resource::Fsize, 0),
        (Resource::Nproc, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        // What is open stays open; nothing can be added.
        (Resource::Nofile, 0),
    ] {
        // The second limit lets SIGXCPU, which has a name, come before SIGKILL.
        let hard = if resource == Resource::Cpu { limit + 1 } else { limit };
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(hard) }).map_err(told)?;
    }
    Ok(())
}

/// No rule is ever added, so nothing at all can be opened: the artifact is open already.
fn landlock() -> Result<(), String> {
    let told = |error: landlock::RulesetError| error.to_string();
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))
        .map_err(told)?
        .handle_access(AccessNet::from_all(ABI::V6))
        .map_err(told)?
        .scope(Scope::from_all(ABI::V6))
        .map_err(told)?
        .create()
        .map_err(told)?
        .restrict_self()
        .map_err(told)?;
    match status.ruleset {
        // Older kernels know fewer kinds of access; files are covered by the first version already, and the rest
        // by the system calls.
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("not in this kernel, or switched off".to_owned()),
    }
}

fn seccomp() -> Result<(), String> {
    let program = filter().map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

/// Allows reading, memory, computing, answering and ending; nothing else.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let argument = |index, compare, value| Condition::new(index, Width::Dword, compare, value);
    let when = |conditions| Ok(vec![SeccompRule::new(conditions)?]);
    let always = Vec::new;
    let not_executable =
        || argument(2, Compare::MaskedEq(libc::PROT_EXEC.unsigned_abs().into()), 0);
    let anonymous = || argument(4, Compare::Eq, u64::from(u32::MAX));
    let own = u64::from(std::process::id());
    let rules = BTreeMap::from([
        // Descriptors were closed down to the artifact and the line to the parent.
        (libc::SYS_read, always()),
        (libc::SYS_pread64, always()),
        (libc::SYS_readv, always()),
        (libc::SYS_lseek, always()),
        (libc::SYS_fstat, always()),
        (libc::SYS_fcntl, when(vec![argument(1, Compare::Eq, libc::F_GETFD as u64)?])?),
        (libc::SYS_write, always()),
        (libc::SYS_close, always()),
        (libc::SYS_brk, always()),
        (libc::SYS_mmap, when(vec![not_executable()?, anonymous()?])?),
        (libc::SYS_mprotect, when(vec![not_executable()?])?),
        (libc::SYS_munmap, always()),
        (libc::SYS_mremap, always()),
        (libc::SYS_madvise, always()),
        (libc::SYS_futex, always()),
        (libc::SYS_clock_gettime, always()),
        (libc::SYS_getrandom, always()),
        (libc::SYS_sched_yield, always()),
        (libc::SYS_nanosleep, always()),
        (libc::SYS_clock_nanosleep, always()),
        (libc::SYS_sigaltstack, always()),
        (libc::SYS_rt_sigaction, always()),
        (libc::SYS_rt_sigprocmask, always()),
        (libc::SYS_rt_sigreturn, always()),
        (libc::SYS_restart_syscall, always()),
        (libc::SYS_getpid, always()),
        (libc::SYS_gettid, always()),
        // How a process aborts: a signal to itself.
        (libc::SYS_tgkill, when(vec![argument(0, Compare::Eq, own)?])?),
        (libc::SYS_exit, always()),
        (libc::SYS_exit_group, always()),
    ]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::EPERM.unsigned_abs()),
        SeccompAction::Allow,
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    filter.try_into()
}
