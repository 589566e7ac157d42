//! The I/O traits of Tokio and of hyper on our sockets: the same bytes, the same end, whichever family reads and writes.
#![cfg(all(feature = "tokio-io", feature = "hyper"))]
#![allow(clippy::unwrap_used, missing_docs)]

use posse_core::runtime::Runtime;
use posse_net::{TcpListener, TcpStream};
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;

fn run<F: Future<Output = Result<()>>>(program: F) {
    Runtime::new().unwrap().block_on(program).unwrap();
}

async fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

/// Writes by Tokio's trait, with several buffers, and ends the direction.
async fn write_as_tokio(mut stream: impl tokio::io::AsyncWrite + Unpin, text: &str) -> Result<()> {
    assert!(stream.is_write_vectored());
    let (one, two) = text.as_bytes().split_at(text.len() / 2);
    let buffers = [IoSlice::new(one), IoSlice::new(two)];
    let written = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &buffers)).await?;
    assert_eq!(written, text.len());
    poll_fn(|cx| Pin::new(&mut stream).poll_flush(cx)).await?;
    poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await
}

async fn write_as_hyper(mut stream: impl hyper::rt::Write + Unpin, text: &str) -> Result<()> {
    assert!(stream.is_write_vectored());
    let written = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, text.as_bytes())).await?;
    assert_eq!(written, text.len());
    poll_fn(|cx| Pin::new(&mut stream).poll_flush(cx)).await?;
    poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await
}

/// Reads to the end, a few bytes at a time, into memory that was never initialised.
async fn read_as_tokio(mut stream: impl tokio::io::AsyncRead + Unpin) -> Result<String> {
    let mut text = Vec::new();
    loop {
        let mut memory = [MaybeUninit::uninit(); 3];
        let mut buffer = tokio::io::ReadBuf::uninit(&mut memory);
        poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).await?;
        if buffer.filled().is_empty() {
            return Ok(String::from_utf8(text).unwrap());
        }
        text.extend_from_slice(buffer.filled());
    }
}

async fn read_as_hyper(mut stream: impl hyper::rt::Read + Unpin) -> Result<String> {
    let mut text = Vec::new();
    loop {
        let mut memory = [MaybeUninit::uninit(); 3];
        let mut buffer = hyper::rt::ReadBuf::uninit(&mut memory);
        poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, buffer.unfilled())).await?;
        if buffer.filled().is_empty() {
            return Ok(String::from_utf8(text).unwrap());
        }
        text.extend_from_slice(buffer.filled());
    }
}

#[test]
fn a_stream_is_read_and_written_by_either_family() {
    run(async {
        let (mut client, mut server) = pair().await?;
        write_as_tokio(&mut client, "hello hyper").await?;
        assert_eq!(read_as_hyper(&mut server).await?, "hello hyper");
        write_as_hyper(&mut server, "hello tokio").await?;
        assert_eq!(read_as_tokio(&mut client).await?, "hello tokio");
        Ok(())
    });
}

#[test]
fn halves_are_read_and_written_by_either_family() {
    run(async {
        let (client, mut server) = pair().await?;
        let (client_read, client_write) = client.into_split();
        let (server_read, server_write) = server.split();
        write_as_tokio(client_write, "from the owned half").await?;
        assert_eq!(read_as_hyper(server_read).await?, "from the owned half");
        write_as_hyper(server_write, "from the borrowed half").await?;
        assert_eq!(read_as_tokio(client_read).await?, "from the borrowed half");
        Ok(())
    });
}

#[test]
fn a_read_waits_until_something_is_written() {
    run(async {
        let (client, server) = pair().await?;
        let reading = posse_core::task::spawn(read_as_hyper(server));
        posse_core::task::yield_now().await;
        write_as_tokio(client, "late").await?;
        assert_eq!(reading.await.unwrap()?, "late");
        Ok(())
    });
}

#[test]
fn a_unix_stream_is_read_and_written_by_either_family() {
    run(async {
        let (one, two) = {
            let place = std::env::temp_dir().join(format!("posse-foreign-{}", std::process::id()));
            let listener = posse_net::UnixListener::bind(&place)?;
            let one = posse_net::UnixStream::connect(&place).await?;
            let two = listener.accept().await?;
            std::fs::remove_file(&place)?;
            (one, two)
        };
        write_as_hyper(one, "through a path").await?;
        assert_eq!(read_as_tokio(two).await?, "through a path");
        Ok(())
    });
}
