//! Transports that are short, late, failing and gone.

use std::time::Duration;

use switchboard_testkit::faults::under_all_faults;
use switchboard_testkit::{Fault, Faults};

use crate::conversation::{Blame, End, Report, Setup, Shared, holds_anyway, is_left_alone, is_the_fault, messages};

/// So much fits into the pipe: less than the longest message.
const ROOM: usize = 8 << 10;
/// Conversations in which all goes wrong that should not matter.
const STORMS: u64 = 25;

async fn converse(setup: &Setup, faulty: End, faults: &Faults) {
    let (server, client) = tokio::io::duplex(ROOM);
    let (of_server, of_client) = (setup.config(), setup.config());
    let reports: [Shared; 2] = Default::default();
    match faulty {
        End::Server => {
            let serving = setup.serve(faults.on(server), &of_server, &reports[0]);
            tokio::join!(serving, setup.connect(client, &of_client, &reports[1]));
        }
        End::Client => {
            let serving = setup.serve(server, &of_server, &reports[0]);
            tokio::join!(serving, setup.connect(faults.on(client), &of_client, &reports[1]));
        }
    }
    // A socket's task ends after it has told how.
    of_server.connections().wait_closed().await;
    of_client.connections().wait_closed().await;
    let [server, client] = reports.map(|report| std::mem::take(&mut *report.lock().unwrap()));
    holds_anyway(&server, &of_server);
    holds_anyway(&client, &of_client);
    match faulty {
        End::Server => judge(faults, &server, &client),
        // A client's TLS is tokio-rustls's, which takes bytes and fails all the same: those who try again say them
        // twice.
        End::Client if setup.has_tls() && faults.fault() == Some(Fault::Interrupted) => {}
        End::Client => judge(faults, &client, &server),
    }
}

fn judge(faults: &Faults, faulty: &Report, other: &Report) {
    let (blamed, left) = (faulty.end.as_ref().unwrap(), other.end.as_ref().unwrap());
    for report in [faulty, other] {
        let all_came = report.heard.len() == messages().len();
        assert!(report.end != Some(Blame::Nobody) || all_came, "a clean end, and not all has come");
    }
    if faults.is_harmless() {
        assert_eq!((blamed, left), (&Blame::Nobody, &Blame::Nobody), "nobody should have noticed");
        return;
    }
    assert!(*blamed == Blame::Nobody || is_the_fault(blamed, faults), "{:?} became {blamed:?}", faults.fault());
    assert!(*left == Blame::Nobody || is_left_alone(left), "the other end says {left:?}");
    // Who failed to write has not read on.
    if !matches!(left, Blame::Transport(_)) {
        assert!(other.heard.len() >= faulty.flushed, "what was told to be on its way has come");
    }
}

fn under_faults(setup: &Setup) {
    for faulty in [End::Server, End::Client] {
        under_all_faults(STORMS, Duration::from_secs(1), async |faults| converse(setup, faulty, &faults).await);
    }
}

#[test]
fn sockets_survive_any_fault_at_any_step() {
    under_faults(&Setup::default());
}

#[test]
fn handlers_survive_any_fault_at_any_step() {
    under_faults(&Setup { handlers: true, ..Setup::default() });
}

#[test]
fn sockets_that_compress_survive_any_fault_at_any_step() {
    under_faults(&Setup { deflate: true, ..Setup::default() });
}

#[test]
fn handlers_that_compress_survive_any_fault_at_any_step() {
    under_faults(&Setup { deflate: true, handlers: true, ..Setup::default() });
}

#[cfg(feature = "tls")]
mod tls {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use switchboard_ws::{ClientTls, Identity, ServerTls};

    use super::*;

    fn tls() -> Option<(ServerTls, ClientTls)> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let identity = Identity::pem(cert.pem(), signing_key.serialize_pem()).unwrap();
        Some((ServerTls::new(&identity), ClientTls::pem(cert.pem()).unwrap()))
    }

    #[test]
    fn sockets_with_tls_survive_any_fault_at_any_step() {
        under_faults(&Setup { tls: tls(), ..Setup::default() });
    }

    #[test]
    fn handlers_with_tls_that_compress_survive_any_fault_at_any_step() {
        under_faults(&Setup { deflate: true, handlers: true, tls: tls() });
    }
}
