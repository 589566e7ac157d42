//! What needs a runtime of Tokio around it: `async_compat` lends it one, in a thread of its own.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

#[cfg(test)]
#[path = "../counterparts.rs"]
#[allow(dead_code, reason = "it has more than is used here")]
mod counterparts;

#[cfg(test)]
#[path = "../ports/drive.rs"]
mod drive;

/// The programs as they were before they were ported: the driver asks the same of them.
#[cfg(test)]
mod originals {
    use crate::counterparts::{self, skip};
    use crate::drive;

    fn program(name: &str) -> std::process::Command {
        drive::program("posse-ecosystem-compat", &format!("original_{name}"))
    }

    #[test]
    fn the_original_of_the_echo_echoes() {
        drive::echo(&mut program("echo"));
    }

    #[test]
    fn the_original_of_the_chat_passes_on_what_is_said() {
        drive::chat(&mut program("chat"));
    }

    #[test]
    fn the_original_of_the_service_keeps_notes() {
        let Some(database) = counterparts::postgres() else { return skip("postgresql") };
        drive::service(&mut program("service"), database.address, "-INT");
        drive::service(&mut program("service"), database.address, "-TERM");
    }
}

#[cfg(test)]
mod tests {
    use crate::counterparts::{self, Folder, skip};
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

    #[posse::test]
    async fn reqwest_gets_a_file_from_pythons_server() {
        let folder = Folder::new("reqwest");
        std::fs::write(folder.file("file"), "hello").unwrap();
        let Some(server) = counterparts::http(folder.0.to_str().unwrap()) else { return skip("python3") };
        let (client, url) = (reqwest::Client::new(), format!("http://{}/file", server.address));
        for _ in 0..10 {
            let text = Compat::new(async { client.get(&url).send().await?.error_for_status()?.text().await });
            assert_eq!(text.await.expect("an answer"), "hello");
        }
    }
}
