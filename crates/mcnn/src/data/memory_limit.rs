//! The memory that data may take on this machine, so that a file that is too large is refused with its size and the limit, and the
//! operating system does not end the process.

use std::sync::OnceLock;

/// The most bytes that the values of a file may take: MCNN_MEMORY_MIB, or a third of what is free when this is first asked, because
/// decoding takes up to three copies. No limit where the operating system does not say what is free.
pub(super) fn limit() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let named = std::env::var("MCNN_MEMORY_MIB").ok().and_then(|mib| mib.parse::<u64>().ok());
        named.map(|mib| mib.saturating_mul(1 << 20)).or_else(|| Some(free()? / 3)).unwrap_or(u64::MAX)
    })
}

/// Free bytes: of the machine, or of the control group if it has fewer.
fn free() -> Option<u64> {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let machine = available(&text("/proc/meminfo")?)?;
    let number = |path: &str| text(path)?.trim().parse::<u64>().ok();
    let group = "/sys/fs/cgroup/memory";
    let limit = number(&format!("{group}.max")).unwrap_or(u64::MAX);
    let used = number(&format!("{group}.current")).unwrap_or(0);
    // Pages of files are given back when memory is needed.
    let pages = text(&format!("{group}.stat")).and_then(|stat| field(&stat, "inactive_file")).unwrap_or(0);
    Some(machine.min(limit.saturating_sub(used.saturating_sub(pages))))
}

/// `MemAvailable` of `/proc/meminfo` in bytes.
fn available(meminfo: &str) -> Option<u64> {
    field(meminfo, "MemAvailable:").map(|kib| kib.saturating_mul(1024))
}

/// The number after a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_from_the_system() {
        let meminfo = "MemTotal:       24683036 kB\nMemFree: 1 kB\nMemAvailable:    1000 kB\n";
        assert_eq!((available(meminfo), available("MemTotal: 5 kB")), (Some(1_024_000), None));
        assert_eq!(field("file 9\ninactive_file 77\n", "inactive_file"), Some(77));
        if cfg!(target_os = "linux") {
            assert!(free().unwrap() > 1 << 20);
        }
    }
}
