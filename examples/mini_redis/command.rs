//! From the words of a request to what is to be done.

use super::resp::Reply;
use super::shard::{Operation, When};
use bytes::Bytes;
use posse::runtime::Handle;
use std::time::Duration;

/// What a request asks for.
#[derive(Debug)]
pub enum Command {
    /// Answered at once.
    Now(Reply),
    /// One operation, its reply.
    One(Operation),
    /// Several, their replies as a list.
    List(Vec<Operation>),
    /// Several, the sum of their replies.
    Sum(Vec<Operation>),
    /// Several, and OK.
    All(Vec<Operation>),
    /// At every shard, the sum or OK.
    Everywhere(fn() -> Operation),
    /// Not for the shards alone: it waits for what came before it.
    Apart(Apart),
}

#[derive(Debug)]
pub enum Apart {
    Info,
    Save {
        waits: bool,
    },
    Publish {
        topic: Bytes,
        text: Bytes,
    },
    Subscribe(Vec<Bytes>),
    /// All, if none is named.
    Unsubscribe(Vec<Bytes>),
    Quit,
}

impl Command {
    pub fn parse(words: Vec<Bytes>) -> Self {
        let mut words = words.into_iter();
        let Some(name) = words.next() else { return Self::Now(Reply::error("empty request")) };
        let name = String::from_utf8_lossy(&name).to_ascii_uppercase();
        let mut arguments = Arguments(words);
        match parse(&name, &mut arguments) {
            Err(reply) => Self::Now(reply),
            Ok(_) if arguments.0.len() > 0 => Self::Now(Arguments::wrong_number()),
            Ok(command) => command,
        }
    }
}

fn parse(name: &str, arguments: &mut Arguments) -> Result<Command, Reply> {
    let command = match name {
        "PING" if arguments.0.len() == 0 => Command::Now(Reply::Status("PONG")),
        "PING" | "ECHO" => Command::Now(Reply::Bulk(arguments.word()?)),
        "GET" => Command::One(Operation::Get(arguments.word()?)),
        "SET" => set(arguments)?,
        "INCR" => Command::One(Operation::Add { key: arguments.word()?, by: 1 }),
        "DECR" => Command::One(Operation::Add { key: arguments.word()?, by: -1 }),
        "INCRBY" => Command::One(Operation::Add { key: arguments.word()?, by: arguments.integer()? }),
        "EXPIRE" => Command::One(Operation::Expire { key: arguments.word()?, after: arguments.time(1_000)? }),
        "TTL" => Command::One(Operation::TimeToLive(arguments.word()?)),
        "MGET" => Command::List(arguments.words()?.into_iter().map(Operation::Get).collect()),
        "DEL" => Command::Sum(arguments.words()?.into_iter().map(Operation::Delete).collect()),
        "EXISTS" => Command::Sum(arguments.words()?.into_iter().map(Operation::Exists).collect()),
        "MSET" => Command::All(pairs(arguments)?),
        "DBSIZE" => Command::Everywhere(|| Operation::Count),
        "FLUSHALL" => Command::Everywhere(|| Operation::Clear),
        "PUBLISH" => Command::Apart(Apart::Publish { topic: arguments.word()?, text: arguments.word()? }),
        "SUBSCRIBE" => Command::Apart(Apart::Subscribe(arguments.words()?)),
        "UNSUBSCRIBE" => Command::Apart(Apart::Unsubscribe(arguments.words().unwrap_or_default())),
        "SAVE" | "BGSAVE" => Command::Apart(Apart::Save { waits: name == "SAVE" }),
        "INFO" => Command::Apart(Apart::Info),
        "QUIT" => Command::Apart(Apart::Quit),
        // What clients ask before they begin; their arguments do not matter.
        "CLIENT" | "SELECT" => arguments.words().map(|_| Command::Now(Reply::Status("OK")))?,
        "CONFIG" | "COMMAND" => arguments.words().map(|_| Command::Now(Reply::List(Vec::new())))?,
        name => return Err(Reply::error(format_args!("unknown command '{}'", name.escape_default()))),
    };
    Ok(command)
}

fn set(arguments: &mut Arguments) -> Result<Command, Reply> {
    let (key, value) = (arguments.word()?, arguments.word()?);
    let (mut expires, mut when) = (None, When::Always);
    while let Some(option) = arguments.0.next() {
        let now = || Handle::current().unix_time();
        match option.to_ascii_uppercase().as_slice() {
            b"EX" => expires = Some(now() + arguments.time(1_000)?),
            b"PX" => expires = Some(now() + arguments.time(1)?),
            b"NX" if when == When::Always => when = When::Absent,
            b"XX" if when == When::Always => when = When::Present,
            _ => return Err(Reply::error("syntax error")),
        }
    }
    Ok(Command::One(Operation::Set { key, value, expires, when }))
}

fn pairs(arguments: &mut Arguments) -> Result<Vec<Operation>, Reply> {
    let mut operations = Vec::new();
    while operations.is_empty() || arguments.0.len() > 0 {
        let (key, value) = (arguments.word()?, arguments.word()?);
        operations.push(Operation::Set { key, value, expires: None, when: When::Always });
    }
    Ok(operations)
}

/// The words after the first.
struct Arguments(std::vec::IntoIter<Bytes>);

impl Arguments {
    fn wrong_number() -> Reply {
        Reply::error("wrong number of arguments")
    }

    fn word(&mut self) -> Result<Bytes, Reply> {
        self.0.next().ok_or_else(Self::wrong_number)
    }

    /// All that are left, at least one.
    fn words(&mut self) -> Result<Vec<Bytes>, Reply> {
        let words: Vec<_> = self.0.by_ref().collect();
        if words.is_empty() { Err(Self::wrong_number()) } else { Ok(words) }
    }

    fn integer(&mut self) -> Result<i64, Reply> {
        let word = self.word()?;
        let integer = std::str::from_utf8(&word).ok().and_then(|text| text.parse().ok());
        integer.ok_or_else(|| Reply::error("value is not an integer or out of range"))
    }

    /// A time in units of `unit_ms`; what is negative is over already.
    fn time(&mut self, unit_ms: u64) -> Result<Duration, Reply> {
        let units = u64::try_from(self.integer()?).unwrap_or(0);
        let ms = units.checked_mul(unit_ms).filter(|ms| *ms <= i64::MAX as u64);
        ms.map(Duration::from_millis).ok_or_else(|| Reply::error("invalid expire time"))
    }
}
