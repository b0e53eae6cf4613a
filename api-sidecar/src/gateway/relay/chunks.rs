//! Decoding of the chunked transfer coding (RFC 9112 section 7.1), as our own handlers' server writes it.

/// The stream is not chunked as the standard says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChunkError;

/// A push decoder: any division of the stream gives the same data.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChunkDecoder {
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    SizeStart,
    Size(u64),
    /// A chunk extension, skipped.
    Extension(u64),
    SizeLineFeed(u64),
    Data(u64),
    DataReturn,
    DataLineFeed,
    /// At the start of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerLineFeed,
    LastLineFeed,
    End,
}

impl ChunkDecoder {
    /// Gives the data of `bytes` to `emit`. `Ok(true)` once the stream has ended; what follows the end is ignored.
    pub(crate) fn decode(
        &mut self,
        mut bytes: &[u8],
        mut emit: impl FnMut(&[u8]),
    ) -> Result<bool, ChunkError> {
        while let Some(&byte) = bytes.first() {
            if let State::Data(left) = self.state {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (piece, rest) = bytes.split_at(count);
                emit(piece);
                bytes = rest;
                let left = left - count as u64;
                self.state = if left == 0 {
                    State::DataReturn
                } else {
                    State::Data(left)
                };
                continue;
            }
            if self.state == State::End {
                return Ok(true);
            }
            self.state = self.step(byte)?;
            bytes = &bytes[1..];
        }
        Ok(self.state == State::End)
    }

    fn step(&self, byte: u8) -> Result<State, ChunkError> {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        Ok(match (self.state, byte) {
            (State::SizeStart, _) => State::Size(digit.ok_or(ChunkError)?),
            (State::Size(size), b'\r') => State::SizeLineFeed(size),
            (State::Size(size), b';' | b' ' | b'\t') => State::Extension(size),
            (State::Size(size), _) => {
                let digit = digit.ok_or(ChunkError)?;
                State::Size(
                    size.checked_mul(16)
                        .and_then(|size| size.checked_add(digit))
                        .ok_or(ChunkError)?,
                )
            }
            (State::Extension(size), b'\r') => State::SizeLineFeed(size),
            (State::Extension(size), _) => State::Extension(size),
            (State::SizeLineFeed(0), b'\n') => State::TrailerStart,
            (State::SizeLineFeed(size), b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => State::SizeStart,
            (State::TrailerStart, b'\r') => State::LastLineFeed,
            (State::TrailerStart, _) => State::Trailer,
            (State::Trailer, b'\r') => State::TrailerLineFeed,
            (State::Trailer, _) => State::Trailer,
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::LastLineFeed, b'\n') => State::End,
            _ => return Err(ChunkError),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, step: usize) -> Result<(bool, String), ChunkError> {
        let mut decoder = ChunkDecoder::default();
        let mut data = Vec::new();
        let mut ended = false;
        for piece in text.as_bytes().chunks(step) {
            ended = decoder.decode(piece, |bytes| data.extend_from_slice(bytes))?;
        }
        Ok((ended, String::from_utf8(data).unwrap()))
    }

    #[test]
    fn any_division_gives_the_same_data() {
        let stream = "5\r\nhello\r\nB;x=\"y\"\r\n, wide world\r\n0\r\nT: v\r\n\r\n";
        let stream = &stream.replace("\nB;", "\nC;");
        for step in 1..=stream.len() {
            assert_eq!(
                decode(stream, step),
                Ok((true, "hello, wide world".to_owned())),
                "{step}"
            );
        }
        assert_eq!(decode("5\r\nhel", 9), Ok((false, "hel".to_owned())));
    }

    #[test]
    fn other_streams_are_errors() {
        for bad in [
            "x\r\n",
            "\r\n",
            "5\nhello",
            "1\r\nab\r\n",
            "1\r\na\n",
            "ffffffffffffffffff\r\n",
            "0\r\n\rX",
        ] {
            assert_eq!(decode(bad, 99), Err(ChunkError), "{bad:?}");
        }
    }
}
