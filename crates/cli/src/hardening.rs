//! What a process gives up as soon as it can: core dumps, being looked into, its memory in swap, the rights it was
//! started with. Linux calls, and none of them unsafe; where the system is another one, or does not permit it, a process
//! is no worse off than without.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// For every command, before anything is read: no core file, and no look into the memory by other processes of the same
/// user (ptrace, /proc/PID/mem), since keys and passphrases lie there.
pub(crate) fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        // Programs that are started inherit the limit; both calls can only fail where there is no such thing.
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// For processes that stay and start no programs, once their rights are what they will be: none comes back, and memory is
/// locked.
pub(crate) fn stay() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::set_no_new_privs(true);
    lock_memory();
}

/// For processes that stay: no page of theirs goes to swap, where the system permits it.
pub(crate) fn lock_memory() {
    #[cfg(target_os = "linux")]
    if may_lock_all() {
        use rustix::mm::{MlockAllFlags, mlockall};
        // ONFAULT: what is never touched (the far end of a thread's stack) takes no memory.
        let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
}

/// Whether all memory may be locked, now and later. Under a limit a later allocation would fail, which is worse than swap.
#[cfg(target_os = "linux")]
fn may_lock_all() -> bool {
    use rustix::process::{Resource, getrlimit};
    use rustix::thread::{CapabilitySet, capabilities};
    let is_capable = || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    getrlimit(Resource::Memlock).current.is_none() || is_capable()
}

/// Somebody to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    user: u32,
    group: u32,
    /// Groups beside, the first one included.
    groups: Vec<u32>,
}

impl Account {
    /// Finds `NAME`, `UID` or `UID:GID`, by the files that accounts are in.
    pub(crate) fn find(text: &str) -> Result<Self, Failure> {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        parse(text, &read("/etc/passwd"), &read("/etc/group")).ok_or_else(|| {
            Failure::usage(format!("there is no user '{text}' in /etc/passwd"))
                .hint("--user nobody")
                .hint("--user 65534:65534    (numbers need no entry)")
        })
    }

    /// Becomes it for good. Only while the process has one thread: rights are a thread's own on Linux, and those that are
    /// started later inherit them.
    #[cfg(target_os = "linux")]
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        use rustix::process::{Gid, Uid};
        use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        let groups: Vec<Gid> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(group, group, group))
            .and_then(|()| set_thread_res_uid(user, user, user))
            .map_err(|error| {
                Failure::usage(format!("cannot become user {}: {error}", self.user))
                    .hint("only root can become somebody else; start it as that user, and leave --user out")
            })?;
        // What the kernel clears with the last of root's ids is looked at, not assumed.
        let left = rustix::thread::capabilities(None).map(|sets| sets.effective | sets.permitted);
        if self.user != 0 && !left.is_ok_and(|left| left.is_empty()) {
            return Err(Failure::usage("the rights of root could not be given up"));
        }
        Ok(())
    }

    /// There is no way to do it here.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        Err(Failure::usage("--user is for Linux; start it as the user that it is to be"))
    }
}

fn parse(text: &str, passwd: &str, group_file: &str) -> Option<Account> {
    if let Some((user, group)) = text.split_once(':') {
        let (user, group) = (user.parse().ok()?, group.parse().ok()?);
        return Some(Account { user, group, groups: vec![group] });
    }
    // name:password:uid:gid:comment:home:shell (passwd(5)); name:password:gid:members (group(5)).
    let mut entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|fields| fields.len() >= 4 && (fields[0] == text || fields[2] == text))?;
    let (user, group) = (entry[2].parse().ok()?, entry[3].parse().ok()?);
    let more = group_file.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_member = fields.get(3)?.split(',').any(|member| member == entry[0]);
        fields[2].parse().ok().filter(|id| is_member && *id != group)
    });
    Some(Account { user, group, groups: std::iter::once(group).chain(more).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\ngate:x:990:991::/var/lib/gate:/usr/sbin/nologin\nbroken\n";
    const GROUP: &str = "root:x:0:\ngate:x:991:\nssl-cert:x:112:postgres,gate\nother:x:113:gateway\n";

    #[test]
    fn an_account_is_found_by_name_and_number_with_its_groups() {
        let gate = Account { user: 990, group: 991, groups: vec![991, 112] };
        assert_eq!(parse("gate", PASSWD, GROUP).as_ref(), Some(&gate));
        assert_eq!(parse("990", PASSWD, GROUP).as_ref(), Some(&gate));
        let numbers = Account { user: 5, group: 6, groups: vec![6] };
        assert_eq!(parse("5:6", PASSWD, GROUP), Some(numbers));
    }

    #[test]
    fn who_is_nobody_is_not_found() {
        for text in ["gat", "", "broken", "991", "x:y", "-1:0", "5:", "4294967296:1"] {
            assert_eq!(parse(text, PASSWD, GROUP), None, "{text}");
        }
    }
}
