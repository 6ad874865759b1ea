//! Who runs a job: written into the job's `metadata.worker`, so that a service can tell at once, without waiting for the
//! idle limit, that the process which claimed a job on this machine is gone.

use serde_json::{Value, json};

/// This process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Host name, also the job's `worker_hostname`.
    pub host: String,
    pid: u32,
    started: Option<u64>,
}

impl Worker {
    /// The running process.
    pub fn this() -> Self {
        let host =
            hostname::get().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned());
        let pid = std::process::id();
        Self { host, pid, started: started(pid) }
    }

    /// For `metadata.worker`: `host`, `pid`, and `started` (ticks since boot) where the system tells.
    pub fn to_value(&self) -> Value {
        json!({"host": self.host, "pid": self.pid, "started": self.started})
    }

    /// Whether the process in a job's metadata certainly does not run any more: it ran on this host, and its process id is
    /// free or belongs to a process that started at another time. `false` when in doubt.
    pub fn is_gone(&self, recorded: Option<&Value>) -> bool {
        let Some(recorded) = recorded else { return false };
        let pid = recorded["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let (Some(pid), Some(before)) = (pid, recorded["started"].as_u64()) else { return false };
        recorded["host"] == self.host.as_str() && self.started.is_some() && started(pid) != Some(before)
    }
}

/// When a process started, in clock ticks since boot, from `/proc/<pid>/stat` (proc(5), field 22). `None` where there is
/// no such process or no such file system.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything; field 22 is the 20th after it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_gone_only_when_that_is_certain() {
        let this = Worker::this();
        assert!(!this.is_gone(None));
        assert!(!this.is_gone(Some(&this.to_value())), "we run");
        assert!(
            !this.is_gone(Some(&json!({"host": "elsewhere", "pid": 1, "started": 1}))),
            "another machine"
        );
        if this.started.is_some() {
            let mut reused = this.to_value();
            reused["started"] = json!(1);
            assert!(this.is_gone(Some(&reused)), "the process id was given to us later");
            let mut child = std::process::Command::new("true").spawn().expect("a child");
            let pid = child.id();
            child.wait().expect("its end");
            assert!(this.is_gone(Some(&json!({"host": this.host, "pid": pid, "started": 5}))));
        }
        assert!(!this.is_gone(Some(&json!({"host": this.host, "pid": 1}))), "no start time");
    }
}
