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

/// Fewer files than this and it is chance at which step a command fails, some of them inside of libraries that panic then:
/// a runtime alone opens five, a memory in SQLite as many.
#[cfg(target_os = "linux")]
const LEAST_FILES: u64 = 32;

/// For every command: refuses to begin what cannot end.
pub(crate) fn check_limits() -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current
        && limit < LEAST_FILES
    {
        return Err(Failure::usage(format!(
            "this process may open {limit} files, and needs {LEAST_FILES} at least"
        ))
        .hint("ulimit -n 1024"));
    }
    Ok(())
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

/// Why nobody can be found by what was written.
#[derive(Debug, PartialEq, Eq)]
enum Unknown {
    User,
    Group,
    /// Root would give up nothing, and the highest number is the system calls' word for "as before" (setresuid(2)).
    Pointless,
}

impl Account {
    /// Finds `NAME[:GROUP]`, both by name or number, by the files that accounts are in.
    pub(crate) fn find(text: &str) -> Result<Self, Failure> {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        parse(text, &read("/etc/passwd"), &read("/etc/group")).map_err(|unknown| {
            match unknown {
                Unknown::User => Failure::usage(format!("there is no user '{text}' in /etc/passwd")),
                Unknown::Group => {
                    Failure::usage(format!("--user {text}: there is no such group in /etc/group"))
                }
                Unknown::Pointless => Failure::usage(format!(
                    "--user {text} would give up nothing: it is there to become less than root"
                )),
            }
            .hint("--user nobody")
            .hint("--user 65534:65534    (numbers need no entry)")
        })
    }

    /// Becomes it for good: the groups, then the group, then the user, since only the first may do the others. Only while
    /// the process has one thread: rights are a thread's own on Linux, and those that are started later inherit them.
    #[cfg(target_os = "linux")]
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
        use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
        // Root's right to lock memory goes with root; the limit stays. Where it cannot be raised, memory is not locked.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        let groups: Vec<Gid> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        set_thread_groups(&groups)
            .and_then(|()| set_thread_res_gid(group, group, group))
            .and_then(|()| set_thread_res_uid(user, user, user))
            .map_err(|error| {
                Failure::usage(format!("cannot become user {}: {error}", self.user))
                    .hint("only root can become somebody else; start it as that user, and leave --user out")
            })?;
        // That nothing comes back is tried and looked at, not assumed.
        let is_root_again = set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok()
            || (self.group != 0 && set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).is_ok());
        let left = rustix::thread::capabilities(None).map(|sets| sets.effective | sets.permitted);
        if is_root_again || !left.is_ok_and(|left| left.is_empty()) {
            return Err(Failure::usage(format!("became user {}, and could be root again", self.user))
                .hint("start it as that user, and leave --user out"));
        }
        Ok(())
    }

    /// There is no way to do it here.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        Err(Failure::usage("--user is for Linux; start it as the user that it is to be"))
    }

    /// Becomes it, and looks whether it can read what will be read again: better now than at the first reload.
    pub(crate) fn enter_and_read(&self, again: Option<&Path>) -> Result<(), Failure> {
        self.enter()?;
        let Some(path) = again else { return Ok(()) };
        let cannot = |error: std::io::Error| {
            let words = format!("{} cannot be read as user {}", path.display(), self.user);
            Failure::usage(format!("{words}: {}", crate::input::plain(&error))).hint(format!(
                "chgrp {} {} && chmod g+r {0}",
                self.group,
                path.display()
            ))
        };
        fs::File::open(path).map(drop).map_err(cannot)
    }
}

/// name:password:uid:gid:comment:home:shell (passwd(5)); name:password:gid:members (group(5)).
fn parse(text: &str, passwd: &str, group_file: &str) -> Result<Account, Unknown> {
    let (name, group) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (text, None),
    };
    let fields = |file: &str| -> Vec<Vec<String>> {
        file.lines().map(|line| line.split(':').map(str::to_owned).collect()).collect()
    };
    let users = fields(passwd);
    let entry = users.iter().find(|fields| fields.len() >= 4 && (fields[0] == name || fields[2] == name));
    let user = entry.map_or(name, |entry| entry[2].as_str()).parse().map_err(|_| Unknown::User)?;
    let all = fields(group_file);
    let (group, groups) = match (group, entry) {
        (Some(group), _) => {
            let named = all.iter().find(|fields| fields.len() >= 3 && fields[0] == group);
            let number =
                named.map_or(group, |fields| fields[2].as_str()).parse().map_err(|_| Unknown::Group)?;
            (number, vec![number])
        }
        (None, Some(entry)) => {
            let own = entry[3].parse().map_err(|_| Unknown::Group)?;
            let more = all.iter().filter_map(|fields| {
                let is_member = fields.get(3)?.split(',').any(|member| member == entry[0]);
                fields[2].parse().ok().filter(|id| is_member && *id != own)
            });
            (own, std::iter::once(own).chain(more).collect())
        }
        (None, None) => return Err(Unknown::User),
    };
    if user == 0 || user == u32::MAX || groups.contains(&u32::MAX) {
        return Err(Unknown::Pointless);
    }
    Ok(Account { user, group, groups })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\ngate:x:990:991::/var/lib/gate:/usr/sbin/nologin\nbroken\n";
    const GROUP: &str = "root:x:0:\ngate:x:991:\nssl-cert:x:112:postgres,gate\nother:x:113:gateway\n";

    #[test]
    fn an_account_is_found_by_name_and_number_with_its_groups() {
        let gate = Account { user: 990, group: 991, groups: vec![991, 112] };
        assert_eq!(parse("gate", PASSWD, GROUP).as_ref(), Ok(&gate));
        assert_eq!(parse("990", PASSWD, GROUP).as_ref(), Ok(&gate));
        let alone = |user, group| Ok(Account { user, group, groups: vec![group] });
        assert_eq!(parse("gate:ssl-cert", PASSWD, GROUP), alone(990, 112));
        assert_eq!(parse("gate:113", PASSWD, GROUP), alone(990, 113));
        assert_eq!(parse("5:6", PASSWD, GROUP), alone(5, 6));
    }

    #[test]
    fn who_is_nobody_is_not_found_and_root_is_nobody_to_become() {
        let refused = |text| parse(text, PASSWD, GROUP).unwrap_err();
        for text in ["gat", "", "broken", "991", "x:y", "-1:0", "4294967296:1"] {
            assert_eq!(refused(text), Unknown::User, "{text}");
        }
        for text in ["gate:", "5:", "gate:nobodies", "gate:-1"] {
            assert_eq!(refused(text), Unknown::Group, "{text}");
        }
        for text in ["root", "0", "0:5", "4294967295:5", "5:4294967295"] {
            assert_eq!(refused(text), Unknown::Pointless, "{text}");
        }
    }
}
