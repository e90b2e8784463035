//! How what was found is written down, so that two runs can be compared.

use hostcall::metadata::Metadata;
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

/// In what stat(2) tells another thing than statx(2) did before it.
pub fn difference(stat: &Metadata, of: &libc::statx) -> Option<String> {
    let time = |time: &libc::statx_timestamp| (time.tv_sec, time.tv_nsec);
    let told = Metadata {
        mode: of.stx_mode.into(),
        links: of.stx_nlink,
        uid: of.stx_uid,
        gid: of.stx_gid,
        size: of.stx_size,
        device: libc::makedev(of.stx_dev_major, of.stx_dev_minor),
        inode: of.stx_ino,
        is_device: libc::makedev(of.stx_rdev_major, of.stx_rdev_minor),
        blocks: of.stx_blocks,
        block: of.stx_blksize,
        // Between the two the preload library reads a link, for its length.
        accessed: stat.accessed,
        modified: time(&of.stx_mtime),
        changed: time(&of.stx_ctime),
    };
    (*stat != told).then(|| format!("stat tells {stat:?}, statx {told:?}"))
}
