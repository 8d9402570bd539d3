//! Compressed answers: to polls (Node: `httpCompression`), and the files of the client.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// When answers to polls are compressed: long ones, unless they hold nothing but messages that are
/// [not to be](crate::engine::ParcelOptions::compress).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpCompression {
    /// Payloads of fewer bytes are not. Default: 1,024.
    pub threshold: usize,
    /// The level, 0–9. Default: 6.
    pub level: u32,
}

impl Default for HttpCompression {
    fn default() -> Self {
        Self { threshold: 1024, level: 6 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Gzip,
    Deflate,
}

/// Brotli is for what is compressed once and sent often.
const FOR_POLLS: &[Coding] = &[Coding::Gzip, Coding::Deflate];

impl Coding {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    /// The one for polls that the client likes best.
    pub(crate) fn for_poll(request: &HeaderMap) -> Option<Self> {
        Self::accepted(request, FOR_POLLS)
    }

    /// The one of those offered that the client likes best; the first where it likes several as well.
    pub(crate) fn accepted(request: &HeaderMap, offered: &[Self]) -> Option<Self> {
        let mut any = 0.0_f32;
        let mut named: Vec<(Self, f32)> = Vec::new();
        let values = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for element in values.flat_map(|value| value.split(',')) {
            let (name, quality) = parse_element(element);
            match &*name.to_ascii_lowercase() {
                "br" => named.push((Self::Brotli, quality)),
                "gzip" | "x-gzip" => named.push((Self::Gzip, quality)),
                "deflate" => named.push((Self::Deflate, quality)),
                "*" => any = quality,
                _ => {}
            }
        }
        let mut best = (None, 0.0);
        for coding in offered {
            let quality = named.iter().rev().find(|(name, _)| name == coding).map_or(any, |(_, quality)| *quality);
            if quality > best.1 {
                best = (Some(*coding), quality);
            }
        }
        best.0
    }

    /// The bytes in this coding. `level`: 0–9.
    pub(crate) fn encode(self, bytes: &[u8], level: u32) -> io::Result<Vec<u8>> {
        let out = Vec::with_capacity(bytes.len() / 4);
        match self {
            Self::Brotli => {
                let mut encoder = brotli::CompressorWriter::new(out, 4096, level, 22);
                encoder.write_all(bytes)?;
                encoder.flush()?;
                Ok(encoder.into_inner())
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, Compression::new(level));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
            // RFC 9110 §8.4.1.2: "deflate" is the zlib format.
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, Compression::new(level));
                encoder.write_all(bytes)?;
                encoder.finish()
            }
        }
    }
}

fn parse_element(element: &str) -> (&str, f32) {
    let mut pieces = element.split(';').map(str::trim);
    let name = pieces.next().unwrap_or_default();
    let quality = pieces.find_map(|piece| piece.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
    (name, quality)
}

impl HttpCompression {
    /// The payload compressed, where that is wanted and makes it smaller. `coding`: the one that the client likes best,
    /// asked for only when it is needed.
    pub(crate) fn compress(self, payload: &[u8], coding: impl FnOnce() -> Option<Coding>) -> Option<(Coding, Bytes)> {
        if payload.len() < self.threshold {
            return None;
        }
        let coding = coding()?;
        let compressed = coding.encode(payload, self.level.min(9));
        let compressed = compressed.ok().filter(|compressed| compressed.len() < payload.len())?;
        Some((coding, compressed.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::{GzDecoder, ZlibDecoder};

    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, value.parse().expect("a value"));
        headers
    }

    #[test]
    fn the_client_chooses() {
        let accepted = |value| Coding::for_poll(&accepting(value));
        assert_eq!(accepted("gzip, deflate, br"), Some(Coding::Gzip));
        assert_eq!(accepted("deflate"), Some(Coding::Deflate));
        assert_eq!(accepted("gzip;q=0.2, deflate;q=0.8"), Some(Coding::Deflate));
        assert_eq!(accepted("*"), Some(Coding::Gzip));
        assert_eq!(accepted("*;q=0, deflate"), Some(Coding::Deflate));
        assert_eq!(accepted("gzip;q=0"), None);
        assert_eq!(accepted("br"), None);
        assert_eq!(Coding::for_poll(&HeaderMap::new()), None);
        let all = [Coding::Brotli, Coding::Gzip, Coding::Deflate];
        assert_eq!(Coding::accepted(&accepting("gzip, deflate, br"), &all), Some(Coding::Brotli));
    }

    #[test]
    fn what_is_long_enough_comes_back_whole() {
        let payload = "4hello ".repeat(200);
        let config = HttpCompression::default();
        let compress = |value| config.compress(payload.as_bytes(), || Coding::for_poll(&accepting(value)));
        let mut text = String::new();
        let (_, gzip) = compress("gzip").expect("compressed");
        GzDecoder::new(&*gzip).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, payload);
        text.clear();
        let (_, deflate) = compress("deflate").expect("compressed");
        ZlibDecoder::new(&*deflate).read_to_string(&mut text).expect("zlib");
        assert_eq!(text, payload);
        assert!(config.compress(&payload.as_bytes()[..1023], || Some(Coding::Gzip)).is_none());
        assert!(compress("br").is_none());
    }
}
