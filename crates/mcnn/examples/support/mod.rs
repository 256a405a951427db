//! What benchmarks measure of their own process.

/// The resident memory of this process and the most it was, in bytes (Linux; else 0).
pub fn memory() -> [u64; 2] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmRSS:", "VmHWM:"].map(|key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).map_or(0, |kib: u64| 1024 * kib)
    })
}
