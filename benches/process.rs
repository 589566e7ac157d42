//! Servers in processes of their own: this very program with other arguments. They end with their standard input.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// Names the processor that servers are kept on.
pub const SERVER_CPU: &str = "POSSE_BENCH_SERVER_CPU";

/// This program again, kept on one processor if one is named.
pub fn this_program(cpu: Option<&str>) -> Command {
    let program = std::env::current_exe().expect("this program");
    match cpu {
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cpu]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// A server; it is ended when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server of some kind and waits until it listens.
    pub fn start(kind: &str) -> Self {
        let mut child = this_program(std::env::var(SERVER_CPU).ok().as_deref())
            .args(["--serve", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, address: line.trim().rsplit(' ').next().and_then(|word| word.parse().ok()).expect("an address") }
    }
}

impl Server {
    /// Kills the process, as the system does that has no memory left.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has ended, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says where a server listens, waits until its standard input ends, and ends the process.
pub fn listening(address: SocketAddr) {
    println!("{address}");
    let mut nothing = [0];
    // Whatever comes, it is the end.
    let _ = std::io::stdin().read(&mut nothing);
    std::process::exit(0);
}
