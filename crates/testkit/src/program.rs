//! A program that a test runs: its lines are waited for, and it is killed when the test is done with it, however that
//! ends. What it writes to the standard error is shown with a failed test.

use std::future::Future;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

/// What takes longer than this has failed. Far more than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for something that must come.
///
/// # Panics
/// When it does not.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// A program that is running.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: JoinHandle<String>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` when a signal killed it.
    pub code: Option<i32>,
    /// What it wrote to the standard output, and nobody read before. What is no text in it is replaced.
    pub stdout: String,
    /// All that it wrote to the standard error.
    pub stderr: String,
}

impl Program {
    /// Starts it.
    ///
    /// # Panics
    /// When there is no such program.
    #[must_use]
    pub fn start(command: Command) -> Self {
        let name = command.get_program().to_owned();
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name:?}: {error}"));
        let stdin = child.stdin.take().expect("a pipe was asked for");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe was asked for")).lines();
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe was asked for")).lines();
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            while let Ok(Some(line)) = errors.next_line().await {
                eprintln!("{line}");
                text.push_str(&line);
                text.push('\n');
            }
            text
        });
        Self { child, stdin, stdout, stderr }
    }

    /// The next line of its standard output.
    ///
    /// # Panics
    /// When there is none.
    pub async fn line(&mut self) -> String {
        let line = within("a line of the program", self.stdout.next_line()).await.expect("readable text");
        line.expect("the program said no more")
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// When it does not read.
    pub async fn write_line(&mut self, line: &str) {
        let line = format!("{line}\n");
        within("the program to read", self.stdin.write_all(line.as_bytes())).await.expect("the program reads");
    }

    /// Sends it a signal, `TERM` or `INT`.
    ///
    /// # Panics
    /// When that fails, because it has ended for instance.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("the program is running");
        let mut kill = tokio::process::Command::new("sh");
        let status = within("kill", kill.args(["-c", &format!("kill -{name} {id}")]).status()).await;
        assert!(status.expect("there is a shell").success(), "the signal was not sent");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end(mut self) -> Ended {
        drop(self.stdin);
        let mut stdout = Vec::new();
        let mut rest = self.stdout.into_inner();
        within("the program's end", rest.read_to_end(&mut stdout)).await.expect("a readable pipe");
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        let status = within("the program's end", self.child.wait()).await.expect("a status");
        let stderr = within("the program's last words", self.stderr).await.expect("they were read");
        Ended { code: status.code(), stdout, stderr }
    }
}
