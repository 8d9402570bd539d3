//! permessage-deflate as one connection has it: what was agreed on, and the codecs of both directions.

use switchboard_budget::{Budget, Hold, Part};

use crate::deflate::{DeflateConfig, DeflateParams, Deflater, Inflater, WindowBits};

#[derive(Debug)]
pub(crate) struct Compression {
    pub(crate) params: DeflateParams,
    pub(crate) inflater: Inflater,
    pub(crate) deflater: Deflater,
    /// Our window.
    pub(crate) window: WindowBits,
    /// Messages shorter than this many bytes are sent uncompressed.
    pub(crate) threshold: usize,
    /// Of the codecs' memory.
    hold: Hold,
}

impl Compression {
    pub(crate) fn new(params: DeflateParams, settings: &DeflateConfig, is_server: bool, budget: &Budget) -> Self {
        let window = if is_server { params.server_max_window_bits } else { params.client_max_window_bits };
        Self {
            params,
            inflater: Inflater::new(&params, settings, is_server),
            deflater: Deflater::new(&params, settings, is_server),
            window,
            threshold: settings.threshold,
            hold: budget.hold(Part::Connections),
        }
    }

    /// Gives back the state that the next message does not need.
    pub(crate) fn rest(&mut self) {
        self.inflater.rest();
        self.deflater.rest();
        self.count();
    }

    /// Gives back all that was for the peer's messages: no more come.
    pub(crate) fn hang_up(&mut self) {
        self.inflater.abandon();
        self.count();
    }

    /// Counts what the codecs hold now: after something was compressed or inflated.
    pub(crate) fn count(&mut self) {
        self.hold.set(self.memory());
    }

    /// Bytes held for the messages to come.
    pub(crate) fn memory(&self) -> usize {
        self.inflater.memory() + self.deflater.memory()
    }
}
