//! Calls for files and folders are dropped at every moment. A call that was begun goes on in its thread, and one that was not never
//! happens; an open file loses no byte.

use super::{at_every_real_moment, until};
use posse::fs::{self, File};
use posse::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use std::future::Future;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder with a file "file" and a folder "full" with an entry, which goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("posse-drops-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("full")).unwrap();
        std::fs::write(path.join("file"), "0123456789").unwrap();
        std::fs::write(path.join("full/entry"), "entry").unwrap();
        Self(path)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Call = Pin<Box<dyn Future<Output = Result<()>>>>;

/// A call in a folder, and whether it has happened there.
type Row = (&'static str, fn(PathBuf) -> Call, fn(&Path) -> bool);

macro_rules! call {
    (|$folder:ident| $call:expr) => {
        |$folder| Box::pin(async move { $call.await.map(|_| ()) })
    };
}

fn has(path: PathBuf, text: &str) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

/// Those that change something.
const CHANGES: [Row; 14] = [
    ("copy", call!(|at| fs::copy(at.join("file"), at.join("new"))), |at| has(at.join("new"), "0123456789")),
    ("create_dir", call!(|at| fs::create_dir(at.join("new"))), |at| at.join("new").is_dir()),
    ("create_dir_all", call!(|at| fs::create_dir_all(at.join("new/er"))), |at| at.join("new/er").is_dir()),
    ("hard_link", call!(|at| fs::hard_link(at.join("file"), at.join("new"))), |at| has(at.join("new"), "0123456789")),
    ("remove_dir", call!(|at| fs::remove_dir(at.join("empty"))), |at| !at.join("empty").exists()),
    ("remove_dir_all", call!(|at| fs::remove_dir_all(at.join("full"))), |at| !at.join("full").exists()),
    ("remove_file", call!(|at| fs::remove_file(at.join("file"))), |at| !at.join("file").exists()),
    ("rename", call!(|at| fs::rename(at.join("file"), at.join("new"))), |at| has(at.join("new"), "0123456789")),
    ("symlink", call!(|at| fs::symlink(at.join("file"), at.join("new"))), |at| at.join("new").is_symlink()),
    ("write", call!(|at| fs::write(at.join("file"), "new")), |at| has(at.join("file"), "new")),
    ("set_permissions", call!(|at| set_readonly(at.join("file"))), is_readonly),
    ("File::create", call!(|at| File::create(at.join("file"))), |at| has(at.join("file"), "")),
    ("File::create_new", call!(|at| File::create_new(at.join("new"))), |at| has(at.join("new"), "")),
    ("File::set_permissions", call!(|at| set_readonly_by_handle(at.join("file"))), is_readonly),
];

fn readonly(path: &Path) -> fs::Permissions {
    let mut permissions = std::fs::metadata(path).unwrap().permissions();
    permissions.set_readonly(true);
    permissions
}

fn is_readonly(folder: &Path) -> bool {
    std::fs::metadata(folder.join("file")).unwrap().permissions().readonly()
}

async fn set_readonly(path: PathBuf) -> Result<()> {
    let permissions = readonly(&path);
    fs::set_permissions(path, permissions).await
}

async fn set_readonly_by_handle(path: PathBuf) -> Result<()> {
    let file = File::from_std(std::fs::File::open(&path).unwrap());
    file.set_permissions(readonly(&path)).await
}

/// Those that only look.
const LOOKS: [Row; 13] = [
    ("canonicalize", call!(|at| fs::canonicalize(at.join("file"))), |_| true),
    ("metadata", call!(|at| fs::metadata(at.join("file"))), |_| true),
    ("read", call!(|at| fs::read(at.join("file"))), |_| true),
    ("read_dir", call!(|at| fs::read_dir(at)), |_| true),
    ("read_link", call!(|at| fs::read_link(at.join("link"))), |_| true),
    ("read_to_string", call!(|at| fs::read_to_string(at.join("file"))), |_| true),
    ("symlink_metadata", call!(|at| fs::symlink_metadata(at.join("file"))), |_| true),
    ("try_exists", call!(|at| fs::try_exists(at.join("file"))), |_| true),
    ("File::open", call!(|at| File::open(at.join("file"))), |_| true),
    ("File::metadata", call!(|at| open(&at).metadata()), |_| true),
    ("File::try_clone", call!(|at| open(&at).try_clone()), |_| true),
    ("DirEntry::metadata", call!(|at| first_entry(at).await.metadata()), |_| true),
    ("DirEntry::file_type", call!(|at| first_entry(at).await.file_type()), |_| true),
];

/// The file, for reading and writing.
fn open(folder: &Path) -> File {
    let file = std::fs::File::options().read(true).write(true).open(folder.join("file"));
    File::from_std(file.unwrap())
}

async fn first_entry(folder: PathBuf) -> fs::DirEntry {
    fs::read_dir(folder).await.unwrap().next_entry().await.unwrap().unwrap()
}

#[test]
fn calls_that_change_something() {
    for (name, call, is_done) in CHANGES {
        at_every_real_moment(async |moment| {
            let folder = Folder::new();
            std::fs::create_dir(folder.0.join("empty")).unwrap();
            assert!(!is_done(&folder.0), "{name}");
            let ended = moment.cut(call(folder.0.clone()), || ()).await;
            if moment.begins() {
                until(name, || is_done(&folder.0)).await;
            } else {
                assert!(!is_done(&folder.0), "{name} happens though it was not begun");
            }
            ended.map(|result| result.expect(name)).is_some()
        });
    }
}

#[test]
fn calls_that_look() {
    for (name, call, _) in LOOKS {
        at_every_real_moment(async |moment| {
            let folder = Folder::new();
            std::os::unix::fs::symlink("file", folder.0.join("link")).unwrap();
            let ended = moment.cut(call(folder.0.clone()), || ()).await.map(|result| result.expect(name));
            assert!(call(folder.0.clone()).await.is_ok(), "{name} {moment:?}");
            assert_eq!(folder.text("file"), "0123456789", "{name} {moment:?}");
            ended.is_some()
        });
    }
}

#[test]
fn an_opening_that_is_dropped_closes_the_file_again() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        let path = folder.0.join("new");
        let opened = moment.cut(fs::OpenOptions::new().write(true).create(true).open(&path), || ()).await;
        let ended = opened.map(|file| drop(file.unwrap())).is_some();
        if moment.begins() {
            until("it is made", || path.exists()).await;
        }
        #[cfg(target_os = "linux")]
        until("it is closed", || !descriptors().contains(&path)).await;
        ended
    });
}

/// What the descriptors of this process are of.
#[cfg(target_os = "linux")]
fn descriptors() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    entries.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect()
}

#[test]
fn entries_of_a_folder() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        for number in 0..40 {
            std::fs::write(folder.0.join("full").join(number.to_string()), "").unwrap();
        }
        let mut entries = fs::read_dir(folder.0.join("full")).await.unwrap();
        // The first batch has come with the folder.
        let mut names = Vec::new();
        for _ in 0..32 {
            names.push(entries.next_entry().await.unwrap().unwrap().file_name());
        }
        let next = moment.cut(entries.next_entry(), || ()).await;
        let ended = next.is_some();
        names.extend(next.map(|next| next.unwrap().unwrap().file_name()));
        while let Some(entry) = entries.next_entry().await.unwrap() {
            names.push(entry.file_name());
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 41, "{moment:?}: an entry is lost or came twice");
        ended
    });
}

#[test]
fn reads_of_a_file_lose_nothing() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        let mut file = open(&folder.0);
        let mut buffer = [0; 4];
        let read = moment.cut(file.read(&mut buffer), || ()).await.map(|read| read.unwrap());
        let mut text = String::from_utf8(buffer[..read.unwrap_or(0)].to_vec()).unwrap();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "0123456789", "{moment:?}");
        read.is_some()
    });
}

#[test]
fn writes_and_flushes_of_a_file() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        let mut file = open(&folder.0);
        file.set_max_buf_size(2);
        // One is on its way, so the next one waits for it. It has written nothing if it is dropped.
        file.write_all(b"ab").await.unwrap();
        let written = moment.cut(file.write(b"cd"), || ()).await.map(|written| written.unwrap());
        let flushed = moment.cut(file.flush(), || ()).await;
        file.flush().await.unwrap();
        let expected = if written == Some(2) { "abcd456789" } else { "ab23456789" };
        assert_eq!(folder.text("file"), expected, "{moment:?}");
        written.is_some() && flushed.is_some()
    });
}

#[test]
fn what_waits_for_the_writes_before_it() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        let mut file = open(&folder.0);
        file.write_all(b"ab").await.unwrap();
        let all = moment.cut(file.sync_all(), || ()).await;
        let data = moment.cut(file.sync_data(), || ()).await;
        file.write_all(b"cd").await.unwrap();
        let cut = moment.cut(file.set_len(6), || ()).await;
        // Every write before it is there, whatever became of the call.
        let file = file.into_std().await.unwrap();
        let text = folder.text("file");
        assert!(text == "abcd45" || text == "abcd456789" && cut.is_none(), "{moment:?}: {text}");
        drop(file);
        all.is_some() && data.is_some() && cut.is_some()
    });
}

#[test]
fn a_file_that_goes_back_to_std() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        let mut file = open(&folder.0);
        file.write_all(b"ab").await.unwrap();
        let ended = moment.cut(file.into_std(), || ()).await.map(|file| file.unwrap()).is_some();
        until("what was written is there", || folder.text("file") == "ab23456789").await;
        ended
    });
}

#[test]
fn seeks_may_be_repeated() {
    at_every_real_moment(async |moment| {
        let folder = Folder::new();
        let mut file = open(&folder.0);
        file.read_exact(&mut [0; 2]).await.unwrap();
        let position = moment.cut(file.stream_position(), || ()).await.map(|at| at.unwrap());
        assert!(position.is_none_or(|at| at == 2), "{moment:?}");
        assert_eq!(file.stream_position().await.unwrap(), 2, "{moment:?}");

        let sought = moment.cut(file.seek(SeekFrom::Start(7)), || ()).await.map(|at| at.unwrap());
        assert_eq!(file.seek(SeekFrom::Start(7)).await.unwrap(), 7);
        assert_eq!(file.read_u8().await.unwrap(), b'7', "{moment:?}");
        let rewound = moment.cut(file.rewind(), || ()).await;
        file.rewind().await.unwrap();
        assert_eq!(file.read_u8().await.unwrap(), b'0', "{moment:?}");
        position.is_some() && sought.is_some() && rewound.is_some()
    });
}
