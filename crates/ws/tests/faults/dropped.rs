//! Ends that give up: their future is dropped at each of its polls.

use switchboard_testkit::faults::{given_up, given_up_at_every_poll};
use switchboard_ws::Limits;

use crate::conversation::{Blame, End, Setup, Shared, holds_anyway, is_left_alone};

async fn converse(setup: &Setup, gives_up: End, polls: u64) -> bool {
    let (server, client) = tokio::io::duplex(8 << 10);
    let (of_server, of_client) = (setup.config(), setup.config());
    let reports: [Shared; 2] = Default::default();
    let serving = setup.serve(server, &of_server, &reports[0]);
    let connecting = setup.connect(client, &of_client, &reports[1]);
    let gave_up = match gives_up {
        End::Server => tokio::join!(given_up(polls, serving), connecting).0.is_none(),
        End::Client => tokio::join!(serving, given_up(polls, connecting)).1.is_none(),
    };
    of_server.connections().wait_closed().await;
    of_client.connections().wait_closed().await;
    let [server, client] = reports.map(|report| std::mem::take(&mut *report.lock().unwrap()));
    holds_anyway(&server, &of_server);
    holds_anyway(&client, &of_client);
    let other = match gives_up {
        End::Server => client,
        End::Client => server,
    };
    let left = other.end.unwrap();
    // A socket that is dropped closes with 1000 all the same, so that its peer has no one to blame.
    assert!(left == Blame::Nobody || (gave_up && is_left_alone(&left)), "the other end says {left:?}");
    gave_up
}

fn at_every_poll(setup: &Setup) {
    for gives_up in [End::Server, End::Client] {
        // Who has been sent a Close frame may have a last word, for half of the time that closing may take.
        let patience = Limits::default().close_timeout;
        given_up_at_every_poll(patience, async |polls| converse(setup, gives_up, polls).await);
    }
}

#[test]
fn sockets_can_be_given_up_at_every_poll() {
    at_every_poll(&Setup::default());
}

#[test]
fn handlers_can_be_given_up_at_every_poll() {
    at_every_poll(&Setup { handlers: true, deflate: true, ..Setup::default() });
}
