//! What fsx is told.

const COMMON: &str = "
flen = 262144
[opsize]
max = 65536
[weights]
close_open = 2
read = 10
write = 10
truncate = 5
fsync = 1
fdatasync = 1
posix_fallocate = 2
punch_hole = 2
sendfile = 2
posix_fadvise = 1
copy_file_range = 3
";

/// Runs with and without maps, by name: the weights of its operations.
pub fn configs() -> [(&'static str, String); 2] {
    let weights = |mapping: u32, invalidate: u32| {
        format!("{COMMON}mapread = {mapping}\nmapwrite = {mapping}\ninvalidate = {invalidate}\n")
    };
    [("mapped", weights(10, 1)), ("unmapped", weights(0, 0))]
}
