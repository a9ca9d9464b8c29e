//! The machine, read from `/proc`; values that cannot be read stay 0 or "unknown".

use std::fs;

/// Hardware and kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Logical cores available to this process.
    pub cores: u32,
    /// The processor's model.
    pub cpu: String,
    /// Main memory.
    pub memory_gib: f64,
    /// Kernel name and release.
    pub kernel: String,
}

impl Machine {
    /// Reads this machine.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let release = text("/proc/sys/kernel/osrelease");
        let release = if release.trim().is_empty() { "unknown" } else { release.trim() };
        Self {
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            cpu: cpu_model(&text("/proc/cpuinfo")),
            memory_gib: memory_gib(&text("/proc/meminfo")),
            kernel: format!("{} {release}", std::env::consts::OS),
        }
    }
}

/// The first model in `/proc/cpuinfo`; ARM kernels name none.
fn cpu_model(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    field("model name").or_else(|| field("Hardware")).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn memory_gib(meminfo: &str) -> f64 {
    let kib: Option<f64> = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok());
    (kib.unwrap_or(0.0) / (1024.0 * 1024.0) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_and_memory_are_found_in_proc() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC  9R14\nflags\t: fpu\n";
        assert_eq!(cpu_model(cpuinfo), "AMD EPYC 9R14");
        assert_eq!(memory_gib("MemFree: 1 kB\nMemTotal:       16319488 kB\n"), 15.6);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_invented() {
        assert_eq!(cpu_model(""), std::env::consts::ARCH);
        assert_eq!(memory_gib(""), 0.0);
        assert!(Machine::read().cores >= 1);
    }
}
