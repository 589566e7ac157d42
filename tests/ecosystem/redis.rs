//! The redis client against a real redis-server.

use crate::counterparts::{self, skip};
use posse::net::TcpStream;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, AsyncTypedCommands, RedisConnectionInfo};

#[posse::test]
async fn a_hundred_tasks_share_one_connection_to_redis() {
    let Some(server) = counterparts::redis() else { return skip("redis-server") };
    let stream = TcpStream::connect(server.address).await.unwrap();
    // Its own time-outs need a runtime that it knows.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let connected = MultiplexedConnection::new_with_config(&RedisConnectionInfo::default(), stream, config).await;
    let (mut connection, driver) = connected.unwrap();
    posse::task::spawn(driver);

    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let mut connection = connection.clone();
            posse::task::spawn(async move {
                for _ in 0..10 {
                    connection.incr("total", n).await.unwrap();
                }
                posse::time::timeout(posse::secs(20), connection.get("total")).await.unwrap().unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().is_some());
    }
    assert_eq!(connection.get("total").await.unwrap().as_deref(), Some("49500"));
}
