//! Listeners whose connections are actors, under a supervisor.

use posse::prelude::*;
use posse::sync::{mpsc, oneshot};
use std::net::SocketAddr;

struct Echo(TcpStream);
impl Actor for Echo {
    async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
        let (mut r, mut w) = self.0.split();
        io::copy(&mut r, &mut w).await?;
        Ok(())
    }
}

async fn echoes(stream: &mut TcpStream, n: u64) {
    stream.write_u64(n).await.unwrap();
    assert_eq!(stream.read_u64().await.unwrap(), n);
}

#[posse::test]
async fn a_listener_serves_no_more_connections_at_once_than_it_may() {
    let (bound, address) = oneshot::channel();
    let bound = std::sync::Mutex::new(Some(bound));
    let tell = move |address: SocketAddr| bound.lock().unwrap().take().unwrap().send(address).unwrap();
    let supervisor = Supervisor::one_for_one()
        .child(Listener::tcp("localhost:0").max_connections(2).on_bound(tell).serve(Echo).name("echo"))
        .spawn();
    let address = address.await.unwrap();
    let (mut first, mut second) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    echoes(&mut first, 1).await;
    echoes(&mut second, 2).await;

    // The third waits in the system's queue until one of the others has left.
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_u64(3).await.unwrap();
    echoes(&mut first, 4).await;
    assert_eq!(posse::System::current().alive(), 4);
    // The listener and its connections, each from the place that a reader of lists can find.
    let mut tasks = posse::runtime::Handle::current().tasks();
    tasks.retain(|task| task.type_name().contains("services::Echo"));
    let places: Vec<_> = tasks.iter().map(|task| task.spawned_at().file().ends_with("tests/it/services.rs")).collect();
    assert_eq!(places, [true; 3], "{tasks:?}");
    assert_eq!(third.try_read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(second);
    assert_eq!(third.read_u64().await.unwrap(), 3);
    supervisor.shutdown().await;
    assert_eq!(posse::System::current().alive(), 0);
    assert_eq!(first.read(&mut [0]).await.unwrap(), 0);
}

/// Breaks the listener at the first connection.
struct Fragile(TcpStream, bool);
impl Actor for Fragile {
    async fn run(&mut self, _: &mut Context<Self>) -> posse::Result {
        assert!(!self.1, "a connection breaks");
        self.0.write_u8(1).await?;
        Ok(())
    }
}

#[posse::test]
async fn a_connection_that_breaks_and_a_listener_that_panics_harm_no_other() {
    let (bound, mut addresses) = mpsc::unbounded_channel();
    let mut connections = 0;
    let make = move |stream| {
        connections += 1;
        assert!(connections != 2, "the listener breaks");
        Fragile(stream, connections == 1)
    };
    let supervisor = Supervisor::one_for_one()
        .child(
            Listener::tcp("127.0.0.1:0")
                .on_bound(move |address| assert!(bound.send(address).is_ok()))
                .serve(make)
                .name("fragile"),
        )
        .spawn();
    let address = addresses.recv().await.unwrap();
    for _ in 0..2 {
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(client.read_u8().await.is_err());
    }
    // It has started over, with closures as they were in the beginning.
    let address = addresses.recv().await.unwrap();
    assert!(TcpStream::connect(address).await.unwrap().read_u8().await.is_err());
    assert_eq!(posse::System::current().restarts(), 1);
    supervisor.shutdown().await;
}

#[posse::test]
async fn a_listener_that_cannot_listen_does_not_start_and_its_supervisor_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let serve = |stream| Spec::once(Echo(stream)).capacity(8);
    let supervisor = Supervisor::one_for_one().child(Listener::tcp(&address).serve(serve).name("echo")).spawn();
    let reason = supervisor.closed().await;
    let ExitReason::GaveUp(text) = &reason else { panic!("{reason}") };
    assert!(text.contains(&format!("it did not start: it failed: {address} cannot be listened on")), "{text}");
}
