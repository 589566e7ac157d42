//! tokio-postgres against a real PostgreSQL.

use crate::counterparts::{self, skip};
use posse::net::TcpStream;
use tokio_postgres::NoTls;

#[posse::test]
async fn queries_are_answered_one_by_one_and_pipelined() {
    let Some(server) = counterparts::postgres() else { return skip("postgresql") };
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut config = tokio_postgres::Config::new();
    let (client, connection) = config.user("posse").dbname("postgres").connect_raw(stream, NoTls).await.unwrap();
    posse::task::spawn(connection);

    client.batch_execute("create table numbers (n bigint)").await.unwrap();
    let insert = client.prepare("insert into numbers values ($1)").await.unwrap();
    // All sent before the first is answered.
    let inserts = (1..=50i64).map(|n| {
        let (client, insert) = (&client, &insert);
        async move { client.execute(insert, &[&n]).await }
    });
    for inserted in futures_util::future::join_all(inserts).await {
        assert_eq!(inserted.unwrap(), 1);
    }
    let row = client.query_one("select sum(n)::bigint from numbers where n > $1", &[&10i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), (11..=50).sum::<i64>());
    let error = client.query_one("select nothing", &[]).await.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("42703"));
}
