//! Waiting for child processes is dropped at every moment: a child ends once and its end is told, or it goes on as its command says.

use super::{at_every_real_moment, until};
use posse::io::AsyncWriteExt;
use posse::process::{Child, Command, Stdio};

/// A child that ends with its input.
fn cat() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Whether there is such a process, zombies included.
fn exists(child: &Child) -> impl Fn() -> bool + use<> {
    let path = child.id().map(|id| std::path::PathBuf::from(format!("/proc/{id}")));
    move || path.as_ref().is_some_and(|path| path.exists())
}

#[test]
fn the_end_of_a_child_is_waited_for_again() {
    at_every_real_moment(async |moment| {
        let mut child = cat().spawn().unwrap();
        let mut input = child.stdin.take();
        let status = moment.cut(child.wait(), || input = None).await;
        assert!(status.is_none_or(|status| status.unwrap().success()));
        drop(input);
        assert!(child.wait().await.unwrap().success(), "{moment:?}");
        assert!(child.wait().await.unwrap().success(), "{moment:?}");
        moment.begins() && child.id().is_none()
    });
}

#[test]
fn a_wait_closes_the_input_when_it_begins() {
    at_every_real_moment(async |moment| {
        let mut child = cat().spawn().unwrap();
        let ended = moment.cut(child.wait(), || ()).await.is_some();
        assert_eq!(child.stdin.is_none(), moment.begins(), "{moment:?}");
        assert!(child.wait().await.unwrap().success(), "{moment:?}");
        ended
    });
}

#[test]
fn a_kill_ends_the_child_once_it_has_begun() {
    at_every_real_moment(async |moment| {
        let mut child = cat().spawn().unwrap();
        let ended = moment.cut(child.kill(), || ()).await.is_some();
        if moment.begins() {
            use std::os::unix::process::ExitStatusExt;
            let status = child.wait().await.unwrap();
            assert_eq!(status.signal(), Some(9), "{moment:?}");
        } else {
            child.stdin.as_mut().unwrap().write_all(b"alive").await.unwrap();
            assert!(child.try_wait().unwrap().is_none());
            child.kill().await.unwrap();
        }
        ended
    });
}

#[test]
#[cfg(target_os = "linux")]
fn a_dropped_wait_for_the_output_drops_the_child() {
    at_every_real_moment(async |moment| {
        // It goes on without anybody who waits, and is no zombie after its end.
        let mut child = cat().spawn().unwrap();
        let exists = exists(&child);
        let mut input = child.stdin.take();
        let output = moment.cut(child.wait_with_output(), || input = None).await;
        let ended = output.is_some();
        drop(input);
        until("it is gone", || !exists()).await;
        ended
    });
}

#[test]
#[cfg(target_os = "linux")]
fn dropped_commands_go_on_or_are_killed_and_leave_no_zombie() {
    for kill in [true, false] {
        at_every_real_moment(async |moment| {
            let marker = super::real_sockets::path("marker");
            let script = format!("echo $$ > {0}.new; mv {0}.new {0}; echo out", marker.display());
            let mut command = Command::new("sh");
            command.args(["-c", &script]).stdout(Stdio::null()).kill_on_drop(kill);
            let status = moment.cut(command.status(), || ()).await.is_some_and(|status| status.unwrap().success());
            until_ended(&marker, moment.begins() && !kill).await;
            assert!(moment.begins() || !marker.exists(), "{moment:?}: it was not begun");
            let _ = std::fs::remove_file(&marker);

            let output = moment.cut(command.output(), || ()).await;
            let ended = output.map(|output| assert_eq!(output.unwrap().stdout, b"out\n")).is_some();
            until_ended(&marker, moment.begins() && !kill).await;
            let _ = std::fs::remove_file(&marker);
            status && ended
        });
    }
}

/// Waits until the process that has left its number here, if it has, is gone.
#[cfg(target_os = "linux")]
async fn until_ended(marker: &std::path::Path, goes_on: bool) {
    if goes_on {
        until("it goes on", || marker.exists()).await;
    }
    if let Ok(id) = std::fs::read_to_string(marker) {
        until("it is gone", || !std::path::Path::new("/proc").join(id.trim()).exists()).await;
    }
}
