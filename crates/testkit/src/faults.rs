//! A transport on which something goes wrong at the n-th step, and a runner that tries every n. Each case is one
//! number: the environment's `FAULT=<number>` repeats it alone.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Fewer kinds of faults than this: a number has its kind below, and its step above.
const KINDS: u64 = 16;
/// Numbers from here on are storms.
const STORMS: u64 = 1 << 32;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One byte is read or written, and no more.
    Short,
    /// The transport is not ready, and then is.
    Late,
    /// The call was interrupted. Some try again, and others, who know that tokio's own transports never say this, give
    /// up.
    Interrupted,
    /// An error, here and from now on.
    Dead(io::ErrorKind),
    /// The stream has ended: nothing more is read, and what is written meets a broken pipe.
    End,
}

impl Fault {
    /// Each kind. What a number means hangs on their order.
    pub const ALL: [Self; 7] = [
        Self::Short,
        Self::Late,
        Self::Interrupted,
        Self::Dead(io::ErrorKind::ConnectionReset),
        Self::Dead(io::ErrorKind::BrokenPipe),
        Self::Dead(io::ErrorKind::UnexpectedEof),
        Self::End,
    ];

    /// Whether nobody should notice.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Short | Self::Late)
    }
}

/// One case: what goes wrong, and when. Cloned, it is the same case.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    plan: Plan,
    /// Reads, writes, flushes and shutdowns so far, each poll of them.
    steps: u64,
    struck: bool,
    /// What every further operation meets.
    stuck: Option<Fault>,
}

#[derive(Debug)]
enum Plan {
    At(u64, Fault),
    /// Every other operation is short or late; the state of the dice.
    Storm(u64),
}

impl Faults {
    /// The case of this number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        let plan = if number >= STORMS {
            Plan::Storm(number)
        } else {
            let kind = usize::try_from(number % KINDS).expect("it is small");
            Plan::At(number / KINDS, *Fault::ALL.get(kind).expect("a number that was printed"))
        };
        Self(Arc::new(Mutex::new(State { plan, steps: 0, struck: false, stuck: None })))
    }

    /// A transport that has this case's faults. All transports of a case count their steps together.
    pub fn on<S>(&self, io: S) -> Faulty<S> {
        Faulty { io, faults: self.clone() }
    }

    /// What goes wrong, if it is one thing; `None` for a storm.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self.lock().plan {
            Plan::At(_, fault) => Some(fault),
            Plan::Storm(_) => None,
        }
    }

    /// Whether nobody should notice: in a storm, or when the conversation was over before its step came.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        let state = self.lock();
        match state.plan {
            Plan::At(_, fault) => fault.is_harmless() || !state.struck,
            Plan::Storm(_) => true,
        }
    }

    /// Whether anything went wrong so far.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.lock().struck
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What this operation meets.
    fn step(&mut self) -> Option<Fault> {
        if self.stuck.is_some() {
            return self.stuck;
        }
        let step = self.steps;
        self.steps += 1;
        let fault = match &mut self.plan {
            Plan::At(at, fault) => (*at == step).then_some(*fault),
            Plan::Storm(dice) => match throw(dice) % 4 {
                0 => Some(Fault::Short),
                1 => Some(Fault::Late),
                _ => None,
            },
        }?;
        self.struck = true;
        if matches!(fault, Fault::Dead(_) | Fault::End) {
            self.stuck = Some(fault);
        }
        Some(fault)
    }
}

/// The next number of a sequence that looks random (Steele, Lea and Flood's `SplitMix64`).
pub fn throw(dice: &mut u64) -> u64 {
    *dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*dice ^ (*dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Runs a conversation under each fault at each step that it has, and then in so many storms. Each case has a runtime
/// of its own, whose clock is stopped: who waits for something that does not come is found at once.
///
/// # Panics
/// When a conversation panics, takes `patience` of virtual time or more (which is for those deadlines that may have to
/// pass), or leaves a task or a transport behind; and when no fault ever struck. The number of the case is printed.
pub fn under_all_faults<F: Future<Output = ()>>(storms: u64, patience: Duration, talk: impl Fn(Faults) -> F) {
    let run = |number| {
        let faults = Faults::numbered(number);
        in_virtual_time(number, patience, talk(faults.clone()));
        assert_eq!(Arc::strong_count(&faults.0), 1, "FAULT={number} leaves a transport behind");
        faults.has_struck()
    };
    if let Some(number) = repeated() {
        run(number);
        return;
    }
    for kind in 0..Fault::ALL.len() as u64 {
        let steps = (0..).find(|step| !run(step * KINDS + kind)).expect("conversations end");
        assert!(steps > 0, "a conversation over a transport has steps");
    }
    for seed in 0..storms {
        assert!(run(STORMS + seed), "a storm blows");
    }
}

/// Runs a conversation in which someone gives up at their first poll, at their second one and so on (see [`given_up`]),
/// until it says that nobody did.
///
/// # Panics
/// As [`under_all_faults`].
pub fn given_up_at_every_poll<F: Future<Output = bool>>(patience: Duration, talk: impl Fn(u64) -> F) {
    if let Some(polls) = repeated() {
        in_virtual_time(polls, patience, talk(polls));
        return;
    }
    let polls = (1..).find(|&polls| !in_virtual_time(polls, patience, talk(polls))).expect("conversations end");
    assert!(polls > 2, "it took {polls} polls: no step was interrupted");
}

/// Polls a future so often, each time that it is woken, and drops it. `Some`: it was ready before.
pub async fn given_up<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        left = left.saturating_sub(1);
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The case that the environment asks for.
fn repeated() -> Option<u64> {
    std::env::var("FAULT").ok().map(|number| number.parse().expect("FAULT is a number"))
}

fn in_virtual_time<T>(number: u64, patience: Duration, talk: impl Future<Output = T>) -> T {
    let told = Told(number);
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    let output = runtime.block_on(async {
        let output = timeout(patience, talk).await.expect("someone waits in vain");
        let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        // Who was told to end by the last step has a turn yet.
        for _ in 0..100 {
            if alive() == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(alive(), 0, "tasks are left behind");
        output
    });
    drop(told);
    output
}

/// Says which case it was that failed.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("this was FAULT={}: set it in the environment to repeat this case alone", self.0);
        }
    }
}

/// A transport on which something goes wrong.
#[derive(Debug)]
pub struct Faulty<S> {
    io: S,
    faults: Faults,
}

/// What an operation is to do.
enum Step {
    Go,
    Short,
    Not(Poll<io::Error>),
    End,
}

impl<S> Faulty<S> {
    fn step(&self, cx: &Context<'_>) -> Step {
        match self.faults.lock().step() {
            None => Step::Go,
            Some(Fault::Short) => Step::Short,
            Some(Fault::Late) => {
                cx.waker().wake_by_ref();
                Step::Not(Poll::Pending)
            }
            Some(Fault::Interrupted) => Step::Not(Poll::Ready(io::ErrorKind::Interrupted.into())),
            Some(Fault::Dead(kind)) => Step::Not(Poll::Ready(kind.into())),
            Some(Fault::End) => Step::End,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.step(cx) {
            Step::Go => Pin::new(&mut self.io).poll_read(cx, buf),
            Step::Short => {
                let mut byte = [0; 1];
                let mut one = ReadBuf::new(&mut byte[..buf.remaining().min(1)]);
                let polled = Pin::new(&mut self.io).poll_read(cx, &mut one);
                buf.put_slice(one.filled());
                polled
            }
            Step::Not(polled) => polled.map(Err),
            Step::End => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.step(cx) {
            Step::Go => Pin::new(&mut self.io).poll_write(cx, bytes),
            Step::Short => Pin::new(&mut self.io).poll_write(cx, &bytes[..bytes.len().min(1)]),
            Step::Not(polled) => polled.map(Err),
            Step::End => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.step(cx) {
            Step::Go => Pin::new(&mut self.io).poll_write_vectored(cx, slices),
            Step::Short => {
                let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| &slice[..1]);
                Pin::new(&mut self.io).poll_write(cx, first)
            }
            Step::Not(polled) => polled.map(Err),
            Step::End => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.step(cx) {
            Step::Not(polled) => polled.map(Err),
            _ => Pin::new(&mut self.io).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.step(cx) {
            Step::Not(polled) => polled.map(Err),
            _ => Pin::new(&mut self.io).poll_shutdown(cx),
        }
    }
}
