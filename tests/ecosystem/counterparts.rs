//! Programs of others: found, started on free ports, and ended.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// Says that a test has nothing to talk to: also in the file that the variable `POSSE_SKIPPED` names, since what a test prints is seen only
/// if it fails. `.ci/run` lists what is there.
pub fn skip(program: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {program} is not installed\n", thread.name().unwrap_or("a test"));
    eprint!("SKIPPED: {line}");
    if let Some(file) = std::env::var_os("POSSE_SKIPPED") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("what is skipped can be written down");
    }
}

/// Where a program is, also if it lies where Debian puts the programs of PostgreSQL.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    places.push("/usr/sbin".into());
    places.extend(versions.map(|version| version.path().join("bin")));
    places.into_iter().map(|place| place.join(program)).find(|file| file.is_file())
}

/// Runs a program of the command line to its end, without holding up the runtime; `None` if there is no such program.
pub async fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(find(program)?);
    command.args(arguments);
    let output = posse::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}{complained}");
    Some(said.into_owned())
}

/// Runs a program of `python`, which needs a module; `None` if the Python that Debian's packages are for does not have it.
pub async fn python(program: &str, module: &str, argument: &str) -> Option<String> {
    let program = python_program(program, module)?;
    run(PYTHON, &[&program, argument]).await
}

const PYTHON: &str = "/usr/bin/python3";

fn python_program(program: &str, module: &str) -> Option<String> {
    let found = Command::new(PYTHON).args(["-c", &format!("import {module}")]).output();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(program);
    found.is_ok_and(|output| output.status.success()).then(|| file.to_str().unwrap().to_owned())
}

/// A server of gRPC by Google's own library.
pub fn grpc() -> Option<Daemon> {
    let program = python_program("grpc_server.py", "grpc")?;
    let (address, folder) = (free_address(), Folder::new("grpc"));
    let mut command = Command::new(PYTHON);
    command.arg(program).arg(address.port().to_string());
    Some(Daemon::start(command, address, folder, "ready"))
}

/// Python's server of the files of a folder, by HTTP/1.
pub fn http(files: &str) -> Option<Daemon> {
    let mut command = Command::new(find(PYTHON)?);
    let (address, folder) = (free_address(), Folder::new("http"));
    command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", files, &address.port().to_string()]);
    Some(Daemon::start(command, address, folder, "Serving HTTP on"))
}

/// A server of HTTP/3 by ngtcp2 and GnuTLS, with the files of a folder.
pub fn http3(key: &str, certificate: &str, files: &str) -> Option<Daemon> {
    let mut command = Command::new(find("gtlsserver")?);
    let (address, folder) = (free_address(), Folder::new("http3"));
    command.args(["--quiet", "--htdocs", files, "127.0.0.1", &address.port().to_string(), key, certificate]);
    Some(Daemon::start(command, address, folder, "Using document root"))
}

/// A folder that goes when it is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// Another one at each call, whatever its name.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("posse-ecosystem-{name}-{process}-{count}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server of others; ended when it is dropped.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    _folder: Folder,
}

impl Daemon {
    /// Starts a server and waits for the line in which it says that it is ready.
    fn start(mut command: Command, address: SocketAddr, folder: Folder, is_ready: &str) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (ready, is_up) = std::sync::mpsc::channel();
        follow(stdout, is_ready, ready.clone());
        follow(stderr, is_ready, ready);
        is_up.recv().expect("it says that it is ready");
        Self { child, address, _folder: folder }
    }
}

/// Reads what a server says for as long as it lives, so that it never waits for a reader.
#[expect(clippy::disallowed_methods, reason = "a pipe of another process, read beside the test")]
fn follow(pipe: impl std::io::Read + Send + 'static, is_ready: &str, ready: std::sync::mpsc::Sender<()>) {
    let is_ready = is_ready.to_owned();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if line.contains(&is_ready) {
                let _ = ready.send(());
            }
        }
    });
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // In an orderly way, so that it ends its own processes first.
        let _ = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_address() -> SocketAddr {
    #[expect(clippy::disallowed_methods, reason = "for a server that is not ours")]
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub fn redis() -> Option<Daemon> {
    let mut command = Command::new(find("redis-server")?);
    let (address, folder) = (free_address(), Folder::new("redis"));
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
    command.args(["--dir", folder.0.to_str().unwrap()]);
    Some(Daemon::start(command, address, folder, "Ready to accept connections"))
}

pub fn postgres() -> Option<Daemon> {
    let (initdb, postgres) = (find("initdb")?, find("postgres")?);
    let (address, folder) = (free_address(), Folder::new("postgres"));
    let data = folder.file("data");
    let owner = as_somebody_else(&folder.0);

    let initialised = owner(&initdb)
        .args(["--pgdata", &data, "--username", "posse", "--auth", "trust", "--no-sync", "--locale", "C"])
        .output()
        .unwrap();
    assert!(initialised.status.success(), "{}", String::from_utf8_lossy(&initialised.stderr));
    let mut command = owner(&postgres);
    command
        .args(["-D", &data, "-p", &address.port().to_string(), "-h", "127.0.0.1", "-k", ""])
        .args(["-c", "fsync=off"]);
    Some(Daemon::start(command, address, folder, "ready to accept connections"))
}

/// PostgreSQL does not run as root: there it runs as the user that its package makes.
fn as_somebody_else(folder: &Path) -> impl Fn(&Path) -> Command + use<> {
    let id = Command::new("id").arg("-u").output().unwrap();
    let is_root = id.stdout == b"0\n";
    if is_root {
        assert!(Command::new("chown").arg("postgres").arg(folder).status().unwrap().success());
    }
    move |program| {
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups"]).arg(program);
        command
    }
}
