//! Reads whole files of a root, and writes new ones.

use crate::disk::{Handle, Open};
use crate::land::root::Root;
use crate::land::root::error::{Context, LandError, Result};

/// Reads a file from an offset to its end. A file longer than `bytes_max` is damaged, and is not
/// read into memory.
pub(crate) fn read_whole(
    file: &dyn Handle,
    path: &str,
    from: u64,
    bytes_max: u64,
) -> Result<Vec<u8>> {
    let length = file.length().context("inspect", path)?;
    if length > bytes_max {
        let what = format!("it has {length} bytes, the limit is {bytes_max}");
        return Err(LandError::damage(path, what));
    }
    let mut bytes = vec![0; length.saturating_sub(from) as usize];
    let filled = file.read_at(&mut bytes, from).context("read", path)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether a file's content is exactly this text.
pub(crate) fn says(file: &dyn Handle, path: &str, text: &str) -> Result<bool> {
    let mut bytes = vec![0; text.len() + 1];
    let filled = file.read_at(&mut bytes, 0).context("read", path)?;
    Ok(&bytes[..filled] == text.as_bytes())
}

/// Writes a new file and syncs it. No other process may use the name.
pub(crate) fn write_new(root: &Root<'_>, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let file = root.disk.open(path, Open::Create(mode)).context("create", path)?;
    file.write_at(bytes, 0).context("write", path)?;
    file.sync().context("sync", path)
}
