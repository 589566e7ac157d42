//! Files and folders: that each call does what std's does, and what becomes of calls whose futures are dropped.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{block_on, cut};
use posse_net::fs::{self, File};
use posse_net::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("posse-fs-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl std::ops::Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

#[test]
fn files_are_written_read_moved_and_removed() {
    block_on(async {
        let folder = Folder::new();
        let (one, two) = (folder.join("one"), folder.join("deep/er/two"));
        assert_eq!(fs::read(&one).await.unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(&one, b"text").await.unwrap();
        fs::create_dir_all(folder.join("deep/er")).await.unwrap();
        assert_eq!(fs::copy(&one, &two).await.unwrap(), 4);
        fs::rename(&one, folder.join("moved")).await.unwrap();
        assert!(!fs::try_exists(&one).await.unwrap());
        assert_eq!(fs::read_to_string(&two).await.unwrap(), "text");
        assert_eq!(fs::read(folder.join("moved")).await.unwrap(), b"text");
        let mut permissions = fs::metadata(&two).await.unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&two, permissions).await.unwrap();
        assert!(fs::metadata(&two).await.unwrap().permissions().readonly());
        fs::remove_file(folder.join("moved")).await.unwrap();
        assert!(fs::remove_dir(folder.join("deep")).await.is_err(), "it is not empty");
        fs::remove_dir_all(folder.join("deep")).await.unwrap();
        assert!(!fs::try_exists(folder.join("deep")).await.unwrap());
    });
}

#[test]
#[cfg(unix)]
fn links_lead_where_they_say() {
    block_on(async {
        let folder = Folder::new();
        let (file, link, other) = (folder.join("file"), folder.join("link"), folder.join("other"));
        fs::write(&file, "text").await.unwrap();
        fs::symlink(&file, &link).await.unwrap();
        fs::hard_link(&file, &other).await.unwrap();
        assert_eq!(fs::read_link(&link).await.unwrap(), file);
        assert!(fs::symlink_metadata(&link).await.unwrap().file_type().is_symlink());
        assert_eq!(fs::canonicalize(&link).await.unwrap(), fs::canonicalize(&file).await.unwrap());
        assert_eq!(fs::read_to_string(&other).await.unwrap(), "text");
    });
}

#[test]
fn a_folder_gives_all_its_entries() {
    block_on(async {
        let folder = Folder::new();
        for number in 0..100 {
            fs::write(folder.join(number.to_string()), "").await.unwrap();
        }
        fs::create_dir(folder.join("folder")).await.unwrap();
        let mut entries = fs::read_dir(&*folder).await.unwrap();
        cut(async { while entries.next_entry().await.unwrap().is_some_and(|_| false) {} }).await;
        let (mut files, mut folders) = (0, 0);
        while let Some(entry) = entries.next_entry().await.unwrap() {
            assert_eq!(entry.path(), folder.join(entry.file_name()));
            if entry.file_type().await.unwrap().is_dir() {
                folders += 1
            } else {
                files += 1
            }
            assert!(entry.metadata().await.is_ok());
        }
        // One was taken by the future that was dropped.
        assert_eq!(files + folders, 100);
        assert!(fs::read_dir(folder.join("none")).await.is_err());
    });
}

#[test]
fn a_file_is_read_written_and_moved_in() {
    block_on(async {
        let folder = Folder::new();
        let path = folder.join("file");
        let mut file = File::create_new(&path).await.unwrap();
        assert_eq!(File::create_new(&path).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        file.set_max_buf_size(7);
        file.write_all(b"0123456789 and more").await.unwrap();
        file.sync_all().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 19);
        assert_eq!(file.seek(SeekFrom::Start(3)).await.unwrap(), 3);
        assert_eq!(file.read_u8().await.unwrap(), b'3');
        assert_eq!(file.stream_position().await.unwrap(), 4);
        assert_eq!(file.seek(SeekFrom::Current(-2)).await.unwrap(), 2);
        file.write_all(b"xx").await.unwrap();
        file.set_len(6).await.unwrap();
        file.rewind().await.unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "01xx45");
        assert!(file.seek(SeekFrom::Current(i64::MIN)).await.is_err());
        let mut clone = file.try_clone().await.unwrap();
        assert_eq!(clone.stream_position().await.unwrap(), 6);
        assert_eq!(file.into_std().await.unwrap().metadata().unwrap().len(), 6);
    });
}

#[test]
fn what_was_read_ahead_is_given_back() {
    block_on(async {
        let folder = Folder::new();
        fs::write(folder.join("file"), "0123456789").await.unwrap();
        let mut file = File::options().read(true).write(true).open(folder.join("file")).await.unwrap();
        // The dropped read has asked for more than the next one.
        cut(file.read(&mut [0; 8])).await;
        let first = file.read_u8().await.unwrap();
        let position = file.stream_position().await.unwrap();
        assert!(first == b'0' && position == 1 || first == b'8' && position == 9, "{first} at {position}");
        file.write_all(b"x").await.unwrap();
        file.flush().await.unwrap();
        let text = fs::read(folder.join("file")).await.unwrap();
        assert_eq!(text.iter().position(|&byte| byte == b'x'), Some(position as usize));
    });
}

#[test]
fn a_write_that_fails_shows_at_the_next_call() {
    block_on(async {
        let folder = Folder::new();
        fs::write(folder.join("file"), "text").await.unwrap();
        let mut file = File::open(folder.join("file")).await.unwrap();
        file.write_all(b"no").await.unwrap();
        assert!(file.flush().await.is_err(), "it was opened for reading");
        assert_eq!(file.read_u8().await.unwrap(), b't');
    });
}

#[test]
fn outside_of_a_runtime_it_is_an_error() {
    let mut reading = std::pin::pin!(fs::read("Cargo.toml"));
    let polled =
        std::future::Future::poll(reading.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(matches!(polled, std::task::Poll::Ready(Err(_))));
}
