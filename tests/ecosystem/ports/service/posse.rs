//! Notes in a database, by HTTP, until ctrl-c or SIGTERM.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use posse::net::{TcpListener, TcpStream};
use posse::signal;
use posse::signal::unix::SignalKind;
use std::error::Error;
use std::sync::Arc;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

#[posse::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let [_, address, database] = &arguments[..] else {
        return Err("give an address to listen on and what to connect to".into());
    };
    let config: Config = database.parse()?;
    let [Host::Tcp(host)] = config.get_hosts() else { return Err("the database has no address".into()) };
    let stream = TcpStream::connect((host.as_str(), config.get_ports()[0])).await?;
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    posse::task::spawn(async move {
        if let Err(error) = connection.await {
            eprintln!("the database is gone: {error}");
        }
    });
    client.batch_execute("create table if not exists notes (id bigserial primary key, text text not null)").await?;

    let app = Router::new()
        .route("/notes", post(add).get(count))
        .route("/notes/{id}", get(show))
        .with_state(Arc::new(client));
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    posse::http::serve(listener, app).with_graceful_shutdown(told_to_end()).await?;
    println!("ended");
    Ok(())
}

async fn told_to_end() {
    let mut terminate = signal::unix::signal(SignalKind::terminate()).expect("the handler of SIGTERM");
    posse::select! {
        _ = signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn add(State(client): State<Arc<Client>>, text: String) -> Result<(StatusCode, String), StatusCode> {
    let row = client.query_one("insert into notes (text) values ($1) returning id", &[&text]).await;
    let row = row.map_err(failed)?;
    Ok((StatusCode::CREATED, row.get::<_, i64>(0).to_string()))
}

async fn show(State(client): State<Arc<Client>>, Path(id): Path<i64>) -> Result<String, StatusCode> {
    let row = client.query_opt("select text from notes where id = $1", &[&id]).await.map_err(failed)?;
    row.map(|row| row.get(0)).ok_or(StatusCode::NOT_FOUND)
}

async fn count(State(client): State<Arc<Client>>) -> Result<String, StatusCode> {
    let row = client.query_one("select count(*) from notes", &[]).await.map_err(failed)?;
    Ok(row.get::<_, i64>(0).to_string())
}

fn failed(error: tokio_postgres::Error) -> StatusCode {
    eprintln!("{error}");
    StatusCode::INTERNAL_SERVER_ERROR
}
