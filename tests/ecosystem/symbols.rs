//! Of Tokio this whole program links traits and channels, and nothing that runs.

use crate::counterparts::run;

#[posse::test]
async fn nothing_of_tokios_scheduler_driver_and_sockets_is_linked() {
    let program = std::env::current_exe().unwrap();
    // It comes with what links this program, so there is no machine on which this is skipped.
    let symbols = run("nm", &["--demangle", "--defined-only", program.to_str().unwrap()]).await;
    let symbols = symbols.expect("nm is installed, of the package binutils");
    // As many libraries that use Tokio's channels are in here, some of its symbols must be: else this looks at nothing.
    assert!(symbols.contains("tokio::sync::"), "no symbol of Tokio at all");
    let runs = ["scheduler", "driver", "io", "blocking", "runtime", "task", "time", "builder", "handle"];
    let mut banned: Vec<_> = runs.iter().map(|module| format!("tokio::runtime::{module}::")).collect();
    banned.extend(["tokio::net::", "tokio::process::", "tokio::signal::", "tokio::fs::"].map(str::to_owned));
    let linked: Vec<_> = symbols
        .lines()
        .filter(|symbol| banned.iter().any(|banned| symbol.contains(banned.as_str())))
        .take(20)
        .collect();
    assert_eq!(linked, [""; 0]);
}
