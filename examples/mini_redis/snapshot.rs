//! A shard on disk: for each key four numbers in little endian (length of the key, of the value, milliseconds of its end, 0 for none), then both.
//! Blocking, so for the blocking pool.

use super::shard::{Entries, Entry};
use bytes::{Buf, BufMut, Bytes};
use std::fs::{self, File};
use std::io::{BufWriter, Error, ErrorKind, Result, Write};
use std::path::Path;
use std::time::Duration;

/// First bytes of a file; the digit is the version.
const MAGIC: &[u8; 8] = b"mredis1\n";

/// Bytes of a head.
const HEAD: usize = 16;

/// Writes all of it beside the former file and replaces that, so that there is a whole one at any moment.
pub fn write(file: &Path, entries: &Entries) -> Result<()> {
    let beside = file.with_extension("new");
    let mut writer = BufWriter::new(File::create(&beside)?);
    writer.write_all(MAGIC)?;
    for (key, entry) in entries {
        let mut head = [0; HEAD];
        let mut at = &mut head[..];
        at.put_u32_le(key.len() as u32);
        at.put_u32_le(entry.value.len() as u32);
        at.put_u64_le(entry.expires.map_or(0, |end| end.as_millis() as u64));
        writer.write_all(&head)?;
        writer.write_all(key)?;
        writer.write_all(&entry.value)?;
    }
    writer.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    fs::rename(beside, file)
}

/// Reads what was written; nothing if there is no such file.
pub fn read(file: &Path) -> Result<Entries> {
    let mut bytes = match fs::read(file) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Entries::default()),
        Err(error) => return Err(error),
    };
    let broken = || Error::new(ErrorKind::InvalidData, format!("{} is no snapshot", file.display()));
    if !bytes.starts_with(MAGIC) {
        return Err(broken());
    }

    bytes.advance(MAGIC.len());
    let mut entries = Entries::default();
    while !bytes.is_empty() {
        if bytes.len() < HEAD {
            return Err(broken());
        }
        let (key, value, end) = (bytes.get_u32_le() as usize, bytes.get_u32_le() as usize, bytes.get_u64_le());
        if bytes.len() < key + value {
            return Err(broken());
        }
        let key = bytes.split_to(key);
        let expires = (end > 0).then(|| Duration::from_millis(end));
        entries.insert(key, Entry { value: bytes.split_to(value), expires });
    }
    Ok(entries)
}
