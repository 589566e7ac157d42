//! The standard streams, in a process of their own: each test starts this program again, for one of the functions below.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{block_on, cut};
use posse_core::runtime::Runtime;
use posse_core::time::Duration;
use posse_net::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use std::io::{BufRead, Read, Write};
use std::process::{Child, Command, Stdio};

/// Tells the program that it is the child.
const CHILD: &str = "POSSE_TEST_STDIO_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Starts this program again, to run one test with piped streams.
fn child(test: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn lines_are_read_and_answered() {
    if is_child() {
        return block_on(async {
            let (mut lines, mut out) = (BufReader::new(stdin()).lines(80), stdout());
            while let Some(line) = lines.next_line().await.unwrap() {
                out.write_all(format!("got {line}\n").as_bytes()).await.unwrap();
                out.flush().await.unwrap();
            }
        });
    }
    let mut child = child("lines_are_read_and_answered");
    let mut input = child.stdin.take().unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    for word in ["one", "two"] {
        writeln!(input, "{word}").unwrap();
        // Each line is answered before the next one is sent.
        let mut line = String::new();
        while !line.contains(&format!("got {word}\n")) {
            assert!(output.read_line(&mut line).unwrap() > 0, "the child ended");
        }
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn input_that_never_comes_does_not_hold_up_the_end() {
    if is_child() {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(cut(stdin().read(&mut [0])));
        return drop(runtime);
    }
    let mut child = child("input_that_never_comes_does_not_hold_up_the_end");
    let _input = child.stdin.take().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_a_dropped_read_asked_for_is_left_to_the_next() {
    if is_child() {
        return block_on(async {
            let mut first = stdin();
            cut(first.read(&mut [0; 4])).await;
            drop(first);
            stdout().write_all(b"now\n").await.unwrap();
            let mut rest = String::new();
            stdin().read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "all of it\n");
        });
    }
    let mut child = child("what_a_dropped_read_asked_for_is_left_to_the_next");
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("now\n") {
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended");
    }
    child.stdin.take().unwrap().write_all(b"all of it\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

/// Of two handles that are dropped one has read a part of what came for it, the other has not looked at its answer. A third waits all
/// the time, and the input does not end.
#[test]
fn what_has_come_for_a_handle_that_is_dropped_goes_to_the_next_reader() {
    if is_child() {
        return block_on(async {
            let (mut first, mut second) = (stdin(), stdin());
            cut(first.read(&mut [0; 8])).await;
            cut(second.read(&mut [0; 8])).await;
            stdout().write_all(b"now\n").await.unwrap();
            let mut start = [0; 2];
            first.read_exact(&mut start).await.unwrap();
            assert_eq!(&start, b"on");

            let mut rest = [0; 12];
            let mut third = stdin();
            let mut reading = Box::pin(third.read_exact(&mut rest));
            cut(&mut reading).await;
            drop(first);
            cut(&mut reading).await;
            drop(second);
            posse_core::time::timeout(Duration::from_secs(60), reading).await.unwrap().unwrap();
            assert_eq!(&rest, b"e\ntwo\nthree\n");
        });
    }
    let mut child = child("what_has_come_for_a_handle_that_is_dropped_goes_to_the_next_reader");
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("now\n") {
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended");
    }
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"one\ntwo\nthree\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

/// What came for a handle that is dropped comes in its place among what came for others, also if they have not looked at theirs.
#[test]
fn what_is_given_back_comes_in_the_order_of_the_input() {
    if is_child() {
        return block_on(async {
            let mut handles = [stdin(), stdin(), stdin()];
            for handle in &mut handles {
                cut(handle.read(&mut [0; 6])).await;
            }
            stdout().write_all(b"now\n").await.unwrap();
            let [mut first, second, mut third] = handles;
            let mut bytes = [0; 12];
            third.read_exact(&mut bytes[..6]).await.unwrap();
            assert_eq!(&bytes[..6], b"third\n");
            drop(second);
            first.read_exact(&mut bytes).await.unwrap();
            assert_eq!(&bytes, b"first\nother\n");
        });
    }
    let mut child = child("what_is_given_back_comes_in_the_order_of_the_input");
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("now\n") {
        assert!(output.read_line(&mut line).unwrap() > 0, "the child ended");
    }
    child.stdin.take().unwrap().write_all(b"first\nother\nthird\n").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}
