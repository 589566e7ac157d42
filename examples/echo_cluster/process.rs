//! A node in a process of its own, started from this very program.

use std::io::{BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// A process that is a node. It is killed when this is dropped.
pub struct Process {
    pub name: String,
    pub address: SocketAddr,
    child: Option<Child>,
}

impl Process {
    /// Starts a node and waits until it listens.
    pub async fn start(name: &str) -> posse::Result<Self> {
        let name = name.to_owned();
        let starting = posse::task::spawn_blocking(move || {
            let mut child = Command::new(std::env::current_exe()?)
                .args(["--node", &name, "--listen", "127.0.0.1:0", "--until-down", "client"])
                .stdout(Stdio::piped())
                .spawn()?;
            let mut line = String::new();
            if let Some(stdout) = child.stdout.take() {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
            match address {
                Some(address) => Ok(Self { name, address, child: Some(child) }),
                None => {
                    child.kill()?;
                    Err(Error::other(format!("node {name} did not start: it said {line:?}")))
                }
            }
        });
        Ok(starting.await??)
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Kills it with SIGKILL: it can do nothing about it, and says no goodbye.
    pub async fn kill(&mut self) -> posse::Result {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            posse::task::spawn_blocking(move || child.wait()).await??;
        }
        Ok(())
    }

    /// Waits for it to end by itself, which it does when the client is gone.
    pub async fn end(mut self) -> posse::Result {
        if let Some(mut child) = self.child.take() {
            let status = posse::task::spawn_blocking(move || child.wait()).await??;
            if !status.success() {
                return Err(format!("node {} ended with {status}", self.name).into());
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
