//! tonic: its services are tower's, so the HTTP server serves them; its clients want a channel, which is hyper's client in a dozen lines.

use crate::counterparts::{self, python, skip};
use crate::http::serve;
use futures_util::{Stream, StreamExt, stream};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use posse::http::{Request as HttpRequest, Response as HttpResponse};
use posse::hyper::Executor;
use posse::net::{TcpListener, TcpStream};
use posse::secs;
use posse::sim::Sim;
use posse::time::{sleep, timeout};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Request, Response, Status};

#[allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/posse.test.Greeter.rs"));
}

use generated::greeter_client::GreeterClient;
use generated::greeter_server::{Greeter, GreeterServer};

#[derive(Clone, PartialEq, prost::Message)]
pub struct Name {
    #[prost(string, tag = "1")]
    pub name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Greeting {
    #[prost(string, tag = "1")]
    pub text: String,
}

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        match request.into_inner().name.as_str() {
            "" => Err(Status::invalid_argument("who are you?")),
            name => Ok(Response::new(Greeting { text: format!("hello {name}") })),
        }
    }

    type RepeatStream = Pin<Box<dyn Stream<Item = Result<Greeting, Status>> + Send>>;

    async fn repeat(&self, request: Request<Name>) -> Result<Response<Self::RepeatStream>, Status> {
        let name = request.into_inner().name;
        let greetings = stream::unfold(0, move |n| {
            let text = format!("{n} times hello {name}");
            let pause = if name == "slow" { posse::ms(20) } else { Duration::ZERO };
            async move {
                posse::time::sleep(pause).await;
                (n < 100).then_some((Ok(Greeting { text }), n + 1))
            }
        });
        Ok(Response::new(Box::pin(greetings)))
    }
}

/// A channel without reconnecting and balancing.
#[derive(Clone)]
struct Channel(SendRequest<Body>);

impl Channel {
    async fn connect(address: SocketAddr) -> posse::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (client, connection) = http2::handshake(Executor::new(), stream).await?;
        posse::task::spawn(connection);
        Ok(Self(client))
    }
}

impl tower::Service<HttpRequest<Body>> for Channel {
    type Response = HttpResponse<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

async fn client(address: SocketAddr) -> posse::Result<GreeterClient<Channel>> {
    let origin = format!("http://{address}").parse()?;
    Ok(GreeterClient::with_origin(Channel::connect(address).await?, origin))
}

#[posse::test]
async fn a_client_and_a_server_of_tonic_talk_one_by_one_and_in_streams() {
    let address = serve(GreeterServer::new(Polite)).await;
    let mut client = client(address).await.unwrap();

    let greeting = client.greet(Name { name: "you".to_owned() }).await.unwrap();
    assert_eq!(greeting.into_inner().text, "hello you");
    assert_eq!(client.greet(Name::default()).await.unwrap_err().code(), Code::InvalidArgument);
    let greetings = client.repeat(Name { name: "all".to_owned() }).await.unwrap().into_inner();
    let texts: Vec<_> = greetings.map(|greeting| greeting.unwrap().text).collect().await;
    assert_eq!((texts.len(), texts[99].as_str()), (100, "99 times hello all"));
}

#[posse::test]
async fn a_client_of_googles_library_calls_a_server_of_tonic() {
    let address = serve(GreeterServer::new(Polite)).await.to_string();
    let Some(said) = python("grpc_client.py", "grpc", &address).await else { return skip("python3-grpcio") };
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines, ["hello Python", "INVALID_ARGUMENT who are you?", "100 99 times hello you", "100"]);
}

#[posse::test]
async fn a_client_of_tonic_calls_a_server_of_googles_library() {
    let Some(server) = counterparts::grpc() else { return skip("python3-grpcio") };
    let mut client = client(server.address).await.unwrap();
    assert_eq!(client.greet(Name { name: "you".to_owned() }).await.unwrap().into_inner().text, "hello you");
    let refused = client.greet(Name::default()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "who are you?"));
    let greetings = client.repeat(Name { name: "all".to_owned() }).await.unwrap().into_inner();
    let texts: Vec<_> = greetings.map(|greeting| greeting.unwrap().text).collect().await;
    assert_eq!((texts.len(), texts[99].as_str()), (100, "99 times hello all"));
}

/// One attempt, on a channel of its own: a call, then a stream that takes two seconds.
async fn attempt(address: SocketAddr) -> posse::Result<Vec<String>> {
    let mut client = client(address).await?;
    let greeting = client.greet(Name { name: "you".to_owned() }).await?.into_inner();
    let mut greetings = client.repeat(Name { name: "slow".to_owned() }).await?.into_inner();
    let mut texts = vec![greeting.text];
    while let Some(greeting) = greetings.message().await? {
        texts.push(greeting.text);
    }
    Ok(texts)
}

/// As it is deployed, on machines that lose each other.
#[posse::test(sim, seeds = 20)]
async fn calls_and_streams_survive_a_partition(sim: Sim) {
    let serve = || async {
        let listener = TcpListener::bind("server:50051").await?;
        posse::http::serve(listener, GreeterServer::new(Polite)).await?;
        Ok(())
    };
    let (server, client) = (sim.host("server", serve).await, sim.host("client", || async { Ok(()) }).await);
    let address = SocketAddr::new(server.ip().into(), 50051);
    let asking = client.spawn(async move {
        for attempts in 1.. {
            if let Ok(Ok(texts)) = timeout(secs(5), attempt(address)).await {
                return (attempts, texts);
            }
            sleep(posse::ms(100)).await;
        }
        unreachable!()
    });
    // While it connects, calls, or reads the stream.
    sleep(posse::ms(sim.random_below(2_000) as u64)).await;
    sim.partition([&server], [&client]).during(secs(20)).await;
    let (attempts, texts) = asking.await.unwrap();
    assert!(attempts > 1, "the partition came too late");
    let expected = (0..100).map(|n| format!("{n} times hello slow"));
    assert!(texts.into_iter().eq(std::iter::once("hello you".to_owned()).chain(expected)));
}
