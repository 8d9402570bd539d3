//! The line that the server prints for copying, run as it is printed.

use std::process::Command;

use switchboard_testkit::Program;

use crate::server::Server;
use crate::tls::Files;

async fn check(server: &Server) {
    let line = server.lines.iter().find(|line| line.starts_with("  curl ")).expect("a line with curl");
    assert!(Command::new("curl").arg("--version").output().is_ok(), "this test needs curl: `./test` installs it");
    let mut shell = Command::new("sh");
    shell.args(["-c", line.trim()]);
    // It ends by its own time limit, as the connection stays open: by which code is curl's affair.
    let shown = Program::start(shell).end().await.stdout;
    assert!(shown.starts_with("HTTP/1.1 101 Switching Protocols"), "{shown}");
    assert!(shown.contains("This is Switchboard."), "{shown}");
}

#[tokio::test]
async fn the_printed_line_shows_101() {
    check(&Server::start(&[]).await).await;
}

#[tokio::test]
async fn the_printed_line_shows_101_through_tls() {
    check(&Files::new().serve().await).await;
}
