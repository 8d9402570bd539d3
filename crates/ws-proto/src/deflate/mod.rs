//! permessage-deflate.
pub mod params;
pub use params::{DeflateConfig, DeflateParams, WindowBits};
