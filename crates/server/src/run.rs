//! The server's life, in order: log, bind, say where, serve, stop.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use switchboard_io::engine::Secure;
use switchboard_io::http1::Terms;
use switchboard_ws::{Admission, CloseCode, Config};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::app::App;
use crate::error::SettingsError;
use crate::listen::{self, Listener, Service};
use crate::settings::{Address, Demo, Settings};
use crate::socketio::Sockets;
use crate::tasks::Tasks;
use crate::workers::Workers;
use crate::{hardening, heap, metrics, routes, shutdown};

/// Runs the server until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub fn run(settings: Settings) -> Result<(), SettingsError> {
    // For signals and the end; connections are the workers' affair.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| SettingsError(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(serve(settings))
}

/// What the threads of a server share, and what tells its connections to stop.
#[must_use]
pub fn prepare(settings: &Settings, tasks: &Tasks) -> (App, Service, watch::Sender<bool>) {
    let Settings { tls, websocket, socketio, admission, patience, sharded, demo, .. } = settings;
    let admission = Admission::new(*admission);
    let metrics = metrics::registry(websocket, socketio.as_ref(), tasks, &admission);
    let app = App { metrics, websocket: websocket.clone(), sockets: socketio.clone() };
    let (stop, stopping) = watch::channel(false);
    let polling = socketio.as_ref().map(|sockets| {
        Arc::new(Terms {
            engine: sockets.server.engine().clone(),
            secure: Secure(tls.is_some()),
            head_timeout: patience.request,
            max_head: listen::MAX_HEAD,
            headers: hardening::add,
            stopping: Some(stopping.clone()),
        })
    });
    let service = Service {
        router: routes::router(app.clone(), *demo == Demo::Served),
        // TLS is none of a shard's business.
        gated: *sharded && tls.is_none(),
        polling,
        tls: tls.clone().map(|tls| tls.budget(websocket.get_budget().clone())),
        admission,
        patience: *patience,
        endpoint: websocket.clone(),
        stopping,
    };
    (app, service, stop)
}

async fn serve(settings: Settings) -> Result<(), SettingsError> {
    // A second server in one process, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(settings.log.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
    let stop = shutdown::requested().map_err(|error| SettingsError(format!("cannot ask for signals: {error}")))?;
    let (listeners, note) = listen::bind(&settings.listen, settings.workers)?;
    let tasks = Tasks::default();
    let (app, service, stopping) = prepare(&settings, &tasks);
    let Settings { tls, websocket, socketio, shutdown_timeout, demo, give_back_memory, .. } = settings;
    let about = About { tls: tls.is_some(), demo, socketio: socketio.as_ref().map(Sockets::path) };
    print!("{}", banner(&listeners[0], note.as_deref(), &about));
    if let Some(usage) = websocket.get_budget().usage() {
        tracing::info!(bytes = usage.limit, "the most memory that is held for clients (--memory-budget)");
    }
    if let Some(every) = give_back_memory {
        tokio::spawn(heap::look_after(websocket.get_budget().clone(), every));
    }
    tasks.watch(&Handle::current());
    let mut workers = Workers::start(listeners, &app, &service, &tasks)
        .map_err(|error| SettingsError(format!("cannot start a worker: {error}")))?;
    drop((app, service));

    let signal = stop.await;
    tracing::info!(signal, connections = websocket.connections().count(), "stopping");
    workers.stop_accepting().await;
    say_goodbye(&websocket, socketio.as_ref(), stopping, shutdown_timeout).await;
    workers.end();
    Ok(())
}

/// Closes every WebSocket with 1001 and lets requests that are being answered finish, for as long as it may take.
async fn say_goodbye(websocket: &Config, sockets: Option<&Sockets>, stopping: watch::Sender<bool>, limit: Duration) {
    // Before sessions end: what their polls are answered is then the last of its connection.
    stopping.send_replace(true);
    if let Some(sockets) = sockets {
        // Its first step closes every session, before their WebSockets are closed with all others. The rest would be to
        // wait for clients that poll; that ends with the last request, as nobody can come back with another.
        let _ = sockets.server.close().now_or_never();
    }
    let closed = websocket.connections().close_all(CloseCode::GOING_AWAY, "the server is stopping");
    debug_assert!(closed.is_ok(), "1001 may be sent");
    let all = async {
        // Requests first: one of them may become a WebSocket still.
        stopping.closed().await;
        websocket.connections().wait_closed().await;
    };
    if tokio::time::timeout(limit, all).await.is_err() {
        tracing::warn!(connections = websocket.connections().count(), "out of patience: cutting the rest off");
    }
}

/// What is served.
struct About<'a> {
    tls: bool,
    demo: Demo,
    /// Where.
    socketio: Option<&'a str>,
}

/// What is printed once everything is ready.
fn banner(listeners: &[Listener], note: Option<&str>, about: &About<'_>) -> String {
    let About { tls, demo, socketio } = *about;
    let (http, ws) = if tls { ("https", "wss") } else { ("http", "ws") };
    let mut text = String::new();
    let mut line = |words: &str| {
        text.push_str(words);
        text.push('\n');
    };
    note.into_iter().for_each(&mut line);
    if demo == Demo::Hidden {
        line("No chat page, as other machines can reach this one: --demo-in-public serves it all the same.");
    }
    let mut example = None;
    for listener in listeners {
        match listener.address() {
            Ok(Address::Tcp(address)) => {
                let what = if demo == Demo::Served { "chat page" } else { "server" };
                line(&format!("Switchboard {what}: {http}://{address}/"));
                line(&format!("  WebSocket:   {ws}://{address}/rooms/lobby and {ws}://{address}/echo"));
                if let Some(path) = socketio {
                    line(&format!("  Socket.IO:   {http}://{address}{path}"));
                }
                example.get_or_insert_with(|| format!("{http}://{address}/echo"));
            }
            Ok(unix) => line(&format!("Switchboard at {unix}")),
            Err(error) => line(&format!("Switchboard listens, but the kernel does not say where: {error}")),
        }
    }
    if let Some(url) = example {
        let insecure = if tls { " --insecure" } else { "" };
        line("Try it (it shows 101 Switching Protocols and a greeting):");
        line(&format!(
            "  curl -i -N --max-time 2 --http1.1{insecure} -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H \
             'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' {url}"
        ));
    }
    text
}
