//! A shard: an actor that owns a part of the keys, and is asked for many operations at once.

use super::resp::Reply;
use super::snapshot;
use bytes::Bytes;
use posse::prelude::*;
use posse::runtime::Handle;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::path::PathBuf;
use std::time::Duration;

pub const SHARDS: usize = 4;

/// How often keys are looked through for those whose time is over; one that is asked for before is gone as well.
const SWEEP_PERIOD: Duration = Duration::from_millis(500);

/// Keys with a fixed order of hashing, so that a run depends on nothing but its requests.
#[expect(clippy::disallowed_types, reason = "its hasher is not random")]
pub type Entries = std::collections::HashMap<Bytes, Entry, BuildHasherDefault<DefaultHasher>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub value: Bytes,
    /// Since the Unix epoch, so that it outlives the process.
    pub expires: Option<Duration>,
}

pub struct Shard {
    index: usize,
    folder: Option<PathBuf>,
    entries: Entries,
}

/// What is done with one key.
#[derive(Debug)]
pub enum Operation {
    Get(Bytes),
    Set { key: Bytes, value: Bytes, expires: Option<Duration>, when: When },
    Delete(Bytes),
    Exists(Bytes),
    Add { key: Bytes, by: i64 },
    Expire { key: Bytes, after: Duration },
    TimeToLive(Bytes),
    Count,
    Clear,
}

impl Operation {
    /// The key it is about; none for what is about a whole shard.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Get(key) | Self::Delete(key) | Self::Exists(key) | Self::TimeToLive(key) => key,
            Self::Set { key, .. } | Self::Add { key, .. } | Self::Expire { key, .. } => key,
            Self::Count | Self::Clear => &[],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Absent,
    Present,
}

/// Operations in order, answered in order.
#[derive(Message)]
#[message(reply = Vec<Reply>)]
pub struct Batch(pub Vec<Operation>);

/// Writes the shard down: before it answers, or in the background.
#[derive(Message)]
#[message(reply = Result<(), String>)]
pub struct Save {
    pub waits: bool,
}

/// Time to look for keys whose time is over.
#[derive(Message)]
struct Sweep;

impl Shard {
    pub fn new(index: usize, folder: Option<PathBuf>) -> Self {
        Self { index, folder, entries: Entries::default() }
    }

    pub fn name(index: usize) -> String {
        format!("shard/{index}")
    }

    pub fn of(key: &[u8]) -> usize {
        let mut hasher = DefaultHasher::new();
        hasher.write(key);
        // The table in the shard hashes alike: other bits tell the shard.
        (hasher.finish() >> 56) as usize % SHARDS
    }

    /// Where it is written down, if anywhere.
    fn file(&self) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("shard-{}-of-{SHARDS}", self.index)))
    }

    fn living(&mut self, key: &[u8]) -> Option<&mut Entry> {
        if self.entries.get(key)?.expires.is_some_and(|end| end <= now()) {
            self.entries.remove(key);
            return None;
        }
        self.entries.get_mut(key)
    }

    fn apply(&mut self, operation: Operation) -> Reply {
        match operation {
            Operation::Get(key) => self.living(&key).map_or(Reply::Nil, |entry| Reply::Bulk(entry.value.clone())),
            Operation::Set { key, value, expires, when } => self.set(&key, &value, expires, when),
            Operation::Delete(key) => {
                let was_there = self.living(&key).is_some();
                self.entries.remove(&key);
                Reply::Integer(was_there.into())
            }
            Operation::Exists(key) => Reply::Integer(self.living(&key).is_some().into()),
            Operation::Add { key, by } => self.add(&key, by),
            Operation::Expire { key, after } => {
                let entry = self.living(&key).map(|entry| entry.expires = Some(now() + after));
                Reply::Integer(entry.is_some().into())
            }
            Operation::TimeToLive(key) => Reply::Integer(match self.living(&key) {
                None => -2,
                Some(Entry { expires: None, .. }) => -1,
                Some(Entry { expires: Some(end), .. }) => (*end - now()).as_millis().div_ceil(1000) as i64,
            }),
            Operation::Count => Reply::Integer(self.entries.len() as i64),
            Operation::Clear => {
                self.entries.clear();
                Reply::Status("OK")
            }
        }
    }

    fn set(&mut self, key: &Bytes, value: &Bytes, expires: Option<Duration>, when: When) -> Reply {
        let is_there = when != When::Always && self.living(key).is_some();
        match when {
            When::Absent if is_there => return Reply::Nil,
            When::Present if !is_there => return Reply::Nil,
            _ => {}
        }

        // Copied, because they are parts of what was read with them, which would stay with them.
        let value = Bytes::copy_from_slice(value);
        match self.entries.get_mut(key) {
            Some(entry) => *entry = Entry { value, expires },
            None => drop(self.entries.insert(Bytes::copy_from_slice(key), Entry { value, expires })),
        }
        Reply::Status("OK")
    }

    fn add(&mut self, key: &Bytes, by: i64) -> Reply {
        let entry = self.living(key);
        let (former, expires) = entry.map_or((Some(0), None), |entry| {
            let text = std::str::from_utf8(&entry.value).ok();
            (text.and_then(|text| text.parse::<i64>().ok()), entry.expires)
        });
        let Some(sum) = former.and_then(|former| former.checked_add(by)) else {
            return Reply::error("value is not an integer or out of range");
        };
        self.set(key, &Bytes::from(sum.to_string()), expires, When::Always);
        Reply::Integer(sum)
    }
}

fn now() -> Duration {
    Handle::current().unix_time()
}

impl Actor for Shard {
    async fn started(&mut self, ctx: &mut Context<Self>) -> posse::Result {
        if let Some(file) = self.file() {
            self.entries = posse::task::spawn_blocking(move || snapshot::read(&file)).await??;
        }
        ctx.send_every(SWEEP_PERIOD, || Sweep);
        Ok(())
    }

    async fn stopped(&mut self, _: &ExitReason, _: &mut Context<Self>) {
        if let Some(file) = self.file() {
            let entries = std::mem::take(&mut self.entries);
            let written = posse::task::spawn_blocking(move || snapshot::write(&file, &entries)).await;
            if let Err(error) = written.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
                eprintln!("a shard could not be written: {error}");
            }
        }
    }
}

impl Handler<Batch> for Shard {
    async fn handle(&mut self, Batch(operations): Batch, _: &mut Context<Self>) -> Vec<Reply> {
        operations.into_iter().map(|operation| self.apply(operation)).collect()
    }
}

impl Handler<Save> for Shard {
    async fn handle(&mut self, Save { waits }: Save, _: &mut Context<Self>) -> Result<(), String> {
        let file = self.file().ok_or("started without a folder")?;
        // Cheap: the values are shared, not copied. What is written is of this moment, whatever happens meanwhile.
        let entries = self.entries.clone();
        let writing = posse::task::spawn_blocking(move || snapshot::write(&file, &entries));
        if !waits {
            return Ok(());
        }
        writing.await.map_err(|panic| panic.to_string())?.map_err(|error| error.to_string())
    }
}

impl Handler<Sweep> for Shard {
    async fn handle(&mut self, _: Sweep, _: &mut Context<Self>) {
        let now = now();
        self.entries.retain(|_, entry| entry.expires.is_none_or(|end| end > now));
    }
}
