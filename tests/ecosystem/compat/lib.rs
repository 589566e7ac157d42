//! What needs a runtime of Tokio around it: `async_compat` lends it one, in a thread of its own.

#[cfg(test)]
mod tests {
    use async_compat::Compat;
    use axum::{Router, routing::get};
    use posse::net::TcpListener;

    #[posse::test]
    async fn reqwest_gets_a_page_inside_of_a_task() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let router = Router::new().route("/", get(|| async { "hello" }));
        posse::task::spawn(posse::http::serve(listener, router).into_future());

        let client = reqwest::Client::new();
        for _ in 0..100 {
            let text = Compat::new(async { client.get(&url).send().await?.text().await });
            assert_eq!(text.await.expect("an answer"), "hello");
        }
    }
}
