//! The threads that serve connections: each has a runtime and listeners of its own, and connections stay on the thread
//! that accepted them.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::app::App;
use crate::gate::Doorkeeper;
use crate::listen::{self, Listener, Service};
use crate::tasks::Tasks;

/// Running threads.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// What the threads are to do.
    order: watch::Sender<Order>,
    /// Each thread holds one of these until it accepts nothing more.
    accepting: oneshot::Receiver<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Accept,
    Serve,
    End,
}

impl Workers {
    /// Starts as many threads as there are sets of listeners; `tasks` counts theirs.
    ///
    /// # Errors
    /// A thread, or its runtime, cannot be had.
    pub fn start(sets: Vec<Vec<Listener>>, app: &App, service: &Service, tasks: &Tasks) -> io::Result<Self> {
        let (order, orders) = watch::channel(Order::Accept);
        let (held, accepting) = oneshot::channel();
        let held = Arc::new(held);
        let mut threads = Vec::new();
        for (number, listeners) in sets.into_iter().enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            tasks.watch(runtime.handle());
            let worker = work(listeners, app.clone(), service.clone(), orders.clone(), Arc::clone(&held));
            let thread = Builder::new().name(format!("worker-{number}")).spawn(move || runtime.block_on(worker))?;
            threads.push(thread);
        }
        Ok(Self { threads, order, accepting })
    }

    /// Closes the listeners. Connections go on.
    pub async fn stop_accepting(&mut self) {
        self.order.send_replace(Order::Serve);
        // The sender is dropped, never used: an error is what is waited for.
        let _ = (&mut self.accepting).await;
    }

    /// Ends the threads, and every connection that is left with them.
    pub fn end(self) {
        self.order.send_replace(Order::End);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker had panicked");
            }
        }
    }
}

async fn work(
    listeners: Vec<Listener>,
    app: App,
    service: Service,
    mut orders: watch::Receiver<Order>,
    held: Arc<oneshot::Sender<()>>,
) {
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, app.clone(), service.clone()));
    }
    drop((app, service));
    // The sender outlives the threads; were it gone, that would mean to end as well.
    let _ = orders.wait_for(|order| *order >= Order::Serve).await.map(drop);
    accepting.shutdown().await;
    drop(held);
    let _ = orders.wait_for(|order| *order >= Order::End).await.map(drop);
}

async fn accept(listener: Listener, app: App, service: Service) {
    if !service.gated {
        return listen::serve(listener, service).await;
    }
    let (listener, _file) = match listener.into_gated() {
        Ok(gated) => gated,
        Err(error) => return tracing::error!(%error, "a listener cannot be watched, and was closed"),
    };
    let websocket = app.websocket.clone();
    let gate = Arc::new(Doorkeeper::new(app, service));
    if let Err(error) = websocket.serve_gate(listener, gate).await {
        tracing::error!(%error, "a listener cannot be watched, and was closed");
    }
}
