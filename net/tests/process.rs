//! Child processes: their streams, their end, and that none is left behind.
#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{block_on, cut};
use posse_core::runtime::{Builder, Runtime};
use posse_core::task;
use posse_core::time::{Duration, timeout};
use posse_net::io::{AsyncReadExt, AsyncWriteExt};
use posse_net::process::{Child, Command, Stdio};
use std::io::ErrorKind;

#[test]
fn a_child_ends_with_its_status_and_is_forgotten() {
    for runtime in [
        posse_core::runtime::Builder::new_current_thread().build().unwrap(),
        posse_core::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap(),
    ] {
        runtime.block_on(async {
            let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
            assert!(child.id().is_some());
            cut(child.wait()).await;
            assert_eq!(child.wait().await.unwrap().code(), Some(3));
            assert_eq!(child.wait().await.unwrap().code(), Some(3));
            assert_eq!((child.id(), child.try_wait().unwrap().unwrap().code()), (None, Some(3)));
            child.kill().await.unwrap();
            assert_eq!(Command::new("/no/such/program").spawn().unwrap_err().kind(), ErrorKind::NotFound);
        });
    }
}

#[test]
fn the_streams_of_a_child_are_pipes() {
    block_on(async {
        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let sent = vec![b'x'; 300_000];
        let expected = sent.clone();
        let writer = task::spawn(async move {
            input.write_all(&sent).await.unwrap();
            input.shutdown().await.unwrap();
            input.write(b"more").await.unwrap_err().kind()
        });
        let mut received = Vec::new();
        output.read_to_end(&mut received).await.unwrap();
        assert!(received == expected);
        assert_eq!(writer.await.unwrap(), ErrorKind::BrokenPipe);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn the_output_of_a_child_is_read_from_both_streams_at_once() {
    block_on(async {
        // More than a pipe holds, to either in turn.
        let script =
            "i=0; while [ $i -lt 3000 ]; do echo out$i; echo 'error error error error error' >&2; i=$((i+1)); done";
        let output = Command::new("sh").args(["-c", script]).output().await.unwrap();
        assert!(output.status.success());
        assert!(output.stdout.ends_with(b"out2999\n"));
        assert_eq!(output.stderr.len(), 3000 * 30);
        let first = Command::new("echo").arg("a").stdout(Stdio::piped()).spawn().unwrap().stdout.take().unwrap();
        let second = Command::new("cat").stdin(Stdio::try_from(first).unwrap()).output().await.unwrap();
        assert_eq!(second.stdout, b"a\n");
    });
}

/// Whether there is such a process, zombies included.
fn exists(id: u32) -> bool {
    std::path::Path::new(&format!("/proc/{id}")).exists()
}

#[test]
#[cfg(target_os = "linux")]
fn a_child_that_is_dropped_leaves_no_zombie_and_is_killed_if_it_shall_be() {
    block_on(async {
        let killed = Command::new("cat").stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut waiting = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let input = waiting.stdin.take().unwrap();
        let ids = [killed.id().unwrap(), waiting.id().unwrap()];
        drop((killed, waiting));
        while exists(ids[0]) {
            task::yield_now().await;
        }
        assert!(exists(ids[1]), "it goes on");
        drop(input);
        while exists(ids[1]) {
            task::yield_now().await;
        }
    });
}

fn sleeps(kill_on_drop: bool) -> std::io::Result<Child> {
    let mut command = Command::new("tail");
    command.args(["-f", "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(kill_on_drop).spawn()
}

/// Waits until there is no such process, which takes a moment.
#[cfg(target_os = "linux")]
fn until_gone(ids: impl IntoIterator<Item = u32>) {
    let gone = async {
        for id in ids {
            while exists(id) {
                task::yield_now().await;
            }
        }
    };
    block_on(async { timeout(Duration::from_secs(30), gone).await }).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn many_children_that_are_dropped_at_once_are_killed_and_leave_no_zombie() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let ids = runtime.block_on(async {
        let children: Vec<_> = (0..200).map(|_| task::spawn(async { sleeps(true).unwrap().id().unwrap() })).collect();
        let mut ids = Vec::new();
        for child in children {
            ids.push(child.await.unwrap());
        }
        ids
    });
    until_gone(ids);
}

#[test]
#[cfg(target_os = "linux")]
fn the_end_of_a_runtime_leaves_no_zombie_of_killed_children_and_of_those_that_go_on() {
    let runtime = Runtime::new().unwrap();
    let (ids, goes_on, input) = runtime.block_on(async {
        let killed: Vec<_> = (0..20).map(|_| sleeps(true).unwrap()).collect();
        let ids: Vec<u32> = killed.iter().map(|child| child.id().unwrap()).collect();
        drop(task::spawn(async move {
            std::future::pending::<()>().await;
            drop(killed);
        }));
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        (ids, child.id().unwrap(), child.stdin.take().unwrap())
    });
    drop(runtime);
    until_gone(ids);
    assert!(exists(goes_on));
    drop(input);
    until_gone([goes_on]);
}

/// Tells the program that it is the child.
const CHILD: &str = "POSSE_TEST_PROCESS_CHILD";

/// The children of this process, zombies included.
#[cfg(target_os = "linux")]
fn children() -> Vec<String> {
    let own = format!("PPid:\t{}", std::process::id());
    let status = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let status = std::fs::read_to_string(entry.unwrap().path().join("status")).ok()?;
        status.lines().any(|line| line == own).then_some(status)
    });
    status.collect()
}

#[test]
#[cfg(target_os = "linux")]
fn children_that_could_not_be_started_for_want_of_descriptors_leave_nothing() {
    if std::env::var_os(CHILD).is_none() {
        let test = "children_that_could_not_be_started_for_want_of_descriptors_leave_nothing";
        let mut again = std::process::Command::new("sh");
        again.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
        let status = again.args(["--exact", test, "--test-threads=1"]).env(CHILD, "1").status().unwrap();
        return assert!(status.success());
    }
    block_on(async {
        let mut started = Vec::new();
        let mut refused = 0;
        // With each that is started before there is less left, down to less than the descriptor of the process itself.
        for spare in (0..200).map(|n| n % 20) {
            let spare: Vec<_> = (0..spare).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
            match sleeps(false) {
                Ok(child) => started.push(child),
                Err(_) => refused += 1,
            }
            drop(spare);
        }
        assert!(refused > 100 && !started.is_empty());
        assert_eq!(children().len(), started.len());
        for child in &mut started {
            child.kill().await.unwrap();
        }
        assert_eq!(children(), [""; 0]);
    });
}

#[test]
fn a_child_that_writes_faster_than_it_is_read_waits_and_loses_nothing() {
    const WRITTEN: usize = 64 << 20;
    block_on(async {
        let mut command = Command::new("head");
        let mut child = command.args(["-c", &WRITTEN.to_string(), "/dev/zero"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        let (mut read, mut buffer) = (0, vec![1; 10_000]);
        loop {
            let len = output.read(&mut buffer).await.unwrap();
            if len == 0 {
                break;
            }
            assert!(buffer[..len].iter().all(|&byte| byte == 0));
            read += len;
            task::yield_now().await;
        }
        assert_eq!(read, WRITTEN);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn a_child_that_closes_its_streams_early_runs_on() {
    block_on(async {
        let mut command = Command::new("sh");
        command.args(["-c", "exec 1>&- 2>&-; read line; exec 0<&-; trap 'exit 5' TERM; kill -TERM $$; exit 4"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        assert_eq!(output.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(errors.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(child.try_wait().unwrap().is_none(), "it waits for a line");
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"a line\n").await.unwrap();
        // It reads no more: an error, and no signal that would end this process.
        let error = loop {
            if let Err(error) = input.write_all(&[b'x'; 4096]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        assert_eq!(child.wait().await.unwrap().code(), Some(5));
    });
}
