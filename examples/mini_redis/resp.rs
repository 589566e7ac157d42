//! RESP2, the protocol of Redis: requests out of bytes, and replies into bytes.

use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// The longest request, and with it the longest value.
const REQUEST_MAX: usize = 16 << 20;

/// The most words of a request.
const WORDS_MAX: usize = 4_096;

/// Bytes of what ends a word.
const END: usize = 2;

/// What is no request.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// Takes the next request, if it is there as a whole: a list of words, or a line of them as a person types it.
pub fn take(input: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Malformed> {
    let Some((words, end)) = measure(input)? else {
        return if input.len() > REQUEST_MAX { Err(Malformed("request too long")) } else { Ok(None) };
    };
    let request = input.split_to(end).freeze();
    Ok(Some(words.into_iter().map(|word| request.slice(word)).collect()))
}

type Measured = (Vec<Range<usize>>, usize);

/// Where the words of the first request are, and where it ends; `None` if more has to come.
fn measure(input: &[u8]) -> Result<Option<Measured>, Malformed> {
    let Some((first, mut at)) = line(input) else { return Ok(None) };
    let Some(count) = first.strip_prefix(b"*") else { return Ok(Some((typed_words(first), at))) };
    let count = number(count).filter(|count| *count <= WORDS_MAX).ok_or(Malformed("invalid multibulk length"))?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let Some((head, after)) = line(&input[at..]) else { return Ok(None) };
        let len = head.strip_prefix(b"$").ok_or(Malformed("expected '$'"))?;
        let len = number(len).filter(|len| *len <= REQUEST_MAX).ok_or(Malformed("invalid bulk length"))?;
        let start = at + after;
        words.push(start..start + len);
        at = start + len + END;
        if at > REQUEST_MAX {
            return Err(Malformed("request too long"));
        }
        if at > input.len() {
            return Ok(None);
        }
    }
    Ok(Some((words, at)))
}

fn typed_words(line: &[u8]) -> Vec<Range<usize>> {
    let (mut words, mut at) = (Vec::new(), 0);
    for word in line.split(u8::is_ascii_whitespace) {
        words.push(at..at + word.len());
        at += word.len() + 1;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The first line without its end, and where the next begins.
fn line(input: &[u8]) -> Option<(&[u8], usize)> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    let text = &input[..end];
    Some((text.strip_suffix(b"\r").unwrap_or(text), end + 1))
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim_end().parse().ok()
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Status(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Bytes),
    Nil,
    List(Vec<Reply>),
}

impl Reply {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    pub fn error(text: impl std::fmt::Display) -> Self {
        Self::Error(format!("ERR {text}"))
    }

    pub fn encode(&self, output: &mut Vec<u8>) {
        match self {
            Self::Status(text) => encode_line(output, b'+', text),
            // It ends where its line does.
            Self::Error(text) => encode_line(output, b'-', text.replace(['\r', '\n'], " ")),
            Self::Integer(n) => encode_line(output, b':', n),
            Self::Nil => output.extend_from_slice(b"$-1\r\n"),
            Self::Bulk(bytes) => {
                encode_line(output, b'$', bytes.len());
                output.extend_from_slice(bytes);
                output.extend_from_slice(b"\r\n");
            }
            Self::List(replies) => {
                encode_line(output, b'*', replies.len());
                replies.iter().for_each(|reply| reply.encode(output));
            }
        }
    }
}

fn encode_line(output: &mut Vec<u8>, kind: u8, text: impl std::fmt::Display) {
    use std::io::Write;
    output.push(kind);
    write!(output, "{text}\r\n").expect("a vector takes all");
}
