//! The seccomp filter: system calls that would lead round a daemon's walls fail with EPERM; everything else passes.

use std::collections::BTreeMap;

use bottle_contract::capability::Capabilities;
use bottle_contract::row::DaemonRow;
use bottle_contract::status::Walls;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// Types of sockets (socket(2)), beside those that a daemon may have: everything up to the mask of the type.
const TYPES: std::ops::RangeInclusive<i32> = 0..=0xf;

/// The filter of one daemon; without walls that need one it is empty.
pub(crate) fn filter(row: &DaemonRow, walls: Walls) -> Result<BpfProgram, BackendError> {
    let mut refusals = Refusals::default();
    if walls.processes {
        refusals.processes()?;
    }
    if walls.tcp {
        refusals.ways_round_connect()?;
    }
    if walls.sockets {
        refusals.sockets(row)?;
    }
    if refusals.rules.is_empty() {
        return Ok(BpfProgram::new());
    }
    let refused = u32::try_from(libc::EPERM).unwrap_or(1);
    // A call of another architecture, from a 32-bit program, ends the process.
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(refusals.rules, SeccompAction::Allow, SeccompAction::Errno(refused), arch)?.try_into()
}

#[derive(Default)]
struct Refusals {
    rules: BTreeMap<i64, Vec<SeccompRule>>,
}

impl Refusals {
    /// Refuses a call where all conditions are met; without conditions, always.
    fn refuse(&mut self, call: libc::c_long, conditions: Vec<SeccompCondition>) -> Result<(), BackendError> {
        let rule = if conditions.is_empty() { None } else { Some(SeccompRule::new(conditions)?) };
        for number in numbers(call) {
            self.rules.entry(number).or_default().extend(rule.clone());
        }
        Ok(())
    }

    fn refuse_all(&mut self, calls: &[libc::c_long]) -> Result<(), BackendError> {
        calls.iter().try_for_each(|call| self.refuse(*call, Vec::new()))
    }

    /// Limits and priorities of other processes, and what all processes of the container share.
    fn processes(&mut self) -> Result<(), BackendError> {
        // 0 means the caller itself.
        self.refuse(libc::SYS_prlimit64, vec![condition(0, SeccompCmpOp::Ne, 0)?])?;
        self.refuse(libc::SYS_setpriority, vec![condition(1, SeccompCmpOp::Ne, 0)?])?;
        let user = u64::from(libc::PRIO_USER);
        self.refuse(libc::SYS_setpriority, vec![condition(0, SeccompCmpOp::Eq, user)?])?;
        self.refuse_all(&[
            libc::SYS_msgget,
            libc::SYS_msgsnd,
            libc::SYS_msgrcv,
            libc::SYS_msgctl,
            libc::SYS_mq_open,
            libc::SYS_mq_unlink,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_keyctl,
        ])
    }

    /// Landlock sees connect(2) of TCP sockets alone.
    fn ways_round_connect(&mut self) -> Result<(), BackendError> {
        let fast_open = bits(libc::MSG_FASTOPEN);
        for (call, argument) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
            self.refuse(call, vec![condition(argument, SeccompCmpOp::MaskedEq(fast_open), fast_open)?])?;
        }
        // Requests of an io_uring pass no filter.
        self.refuse(libc::SYS_io_uring_setup, Vec::new())
    }

    /// Sockets beside TCP, streams of `AF_UNIX`, and what the row asks for.
    fn sockets(&mut self, row: &DaemonRow) -> Result<(), BackendError> {
        let raw = row.connect.is_none()
            && row.capabilities.is_some_and(|held| !held.and(Capabilities::of(&["NET_RAW"])).is_empty());
        let mut families = vec![libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        if raw {
            families.push(libc::AF_PACKET);
        }
        let others: Result<Vec<SeccompCondition>, BackendError> =
            families.iter().map(|family| condition(0, SeccompCmpOp::Ne, bits(*family))).collect();
        self.refuse(libc::SYS_socket, others?)?;
        let is = |family: i32| condition(0, SeccompCmpOp::Eq, bits(family));
        let typed = |kind: i32| condition(1, SeccompCmpOp::MaskedEq(0xf), bits(kind));
        let protocol = |number: i32| condition(2, SeccompCmpOp::Ne, bits(number));
        // Routes and addresses can be read; other parts of the kernel cannot be asked.
        self.refuse(libc::SYS_socket, vec![is(libc::AF_NETLINK)?, protocol(libc::NETLINK_ROUTE)?])?;
        for kind in TYPES {
            let allowed = match kind {
                libc::SOCK_STREAM => true,
                libc::SOCK_DGRAM => row.udp,
                libc::SOCK_RAW => raw,
                _ => false,
            };
            if !allowed {
                for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
                    self.refuse(libc::SYS_socket, vec![is(family)?, typed(kind)?])?;
                }
            }
        }
        for family in [libc::AF_INET, libc::AF_INET6] {
            // MPTCP, SCTP, SMC and their like are streams that Landlock does not know; ping is a datagram.
            for (kind, own) in [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)]
            {
                self.refuse(libc::SYS_socket, vec![is(family)?, typed(kind)?, protocol(0)?, protocol(own)?])?;
            }
        }
        self.refuse(libc::SYS_io_uring_setup, Vec::new())
    }
}

/// Every number of a call: on x86-64 it has a second one, of the x32 interface.
fn numbers(call: libc::c_long) -> impl Iterator<Item = i64> {
    const X32: i64 = 0x4000_0000;
    [0, X32].into_iter().filter(|bit| *bit == 0 || cfg!(target_arch = "x86_64")).map(move |bit| call | bit)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

fn bits(flag: i32) -> u64 {
    u64::from(flag.cast_unsigned())
}
