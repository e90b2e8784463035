//! How what was found is written down, so that two runs can be compared.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

/// What a case sees of data: all of it if it is short, or a digest.
pub fn digest(data: &[u8]) -> String {
    if data.len() <= 64 {
        return format!("\"{}\"", data.escape_ascii());
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(data);
    format!("[{} bytes, digest {:016x}]", data.len(), hasher.finish())
}

/// A time that a case has set, or that it is about now.
pub fn moment(seconds: i64, nanoseconds: u32) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.as_secs() as i64);
    match (now - seconds).abs() < 3600 {
        true => "now".to_owned(),
        false => format!("{seconds}.{nanoseconds:09}"),
    }
}

/// Names and types of packed `struct linux_dirent64`.
pub fn entries(mut packed: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while packed.len() > 19 {
        let len = usize::from(u16::from_ne_bytes([packed[16], packed[17]]));
        let name = packed[19..len].split(|byte| *byte == 0).next();
        names.push(format!(
            "{}:{}",
            name.unwrap_or_default().escape_ascii(),
            packed[18]
        ));
        packed = &packed[len..];
    }
    names
}
