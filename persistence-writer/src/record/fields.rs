//! Little-endian fields, put at the end of a buffer or taken from the front of a slice.

use engine::{Money, Price, Quantity, Ratio, Text};

use super::RecordError;

/// What an absent quantity is written as; no quantity is that large.
const NO_QUANTITY: u32 = u32::MAX;
const _: () = assert!(engine::limits::QUANTITY_MAX < NO_QUANTITY);

/// Puts fields one after the other.
pub(super) trait Put {
    fn array<const N: usize>(&mut self, bytes: [u8; N]);

    #[inline(always)]
    fn u8(&mut self, value: u8) {
        self.array([value]);
    }

    #[inline(always)]
    fn u16(&mut self, value: u16) {
        self.array(value.to_le_bytes());
    }

    #[inline(always)]
    fn u32(&mut self, value: u32) {
        self.array(value.to_le_bytes());
    }

    #[inline(always)]
    fn u64(&mut self, value: u64) {
        self.array(value.to_le_bytes());
    }

    #[inline(always)]
    fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    #[inline(always)]
    fn money(&mut self, value: Money) {
        self.array(value.paise().to_le_bytes());
    }

    #[inline(always)]
    fn price(&mut self, value: Price) {
        self.u32(value.paise());
    }

    /// An absent price is 0, which is no price.
    #[inline(always)]
    fn optional_price(&mut self, value: Option<Price>) {
        self.u32(value.map_or(0, Price::paise));
    }

    #[inline(always)]
    fn quantity(&mut self, value: Quantity) {
        self.u32(value.shares());
    }

    #[inline(always)]
    fn optional_quantity(&mut self, value: Option<Quantity>) {
        self.u32(value.map_or(NO_QUANTITY, Quantity::shares));
    }

    #[inline(always)]
    fn ratio(&mut self, value: Ratio) {
        self.u32(value.ppm());
    }

    /// The length of a text whose bytes follow in the tail.
    #[inline(always)]
    fn text_len<const N: usize>(&mut self, text: &Text<N>) {
        let len = u8::try_from(text.as_str().len()).expect("a Text holds at most 255 bytes");
        self.u8(len);
    }
}

/// Puts fields at the end of a buffer.
pub(super) struct Encoder<'a>(pub(super) &'a mut Vec<u8>);

impl Put for Encoder<'_> {
    fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }
}

impl Encoder<'_> {
    /// Room for `N` bytes of fields, which the caller fills: one look at the buffer's capacity serves them all.
    #[inline(always)]
    pub(super) fn fields<const N: usize>(&mut self) -> Fields<'_> {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; N]);
        Fields(&mut self.0[start..])
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text<const N: usize>(&mut self, text: &Text<N>) {
        self.bytes(text.as_str().as_bytes());
    }
}

/// What is left to fill of [`Encoder::fields`].
pub(super) struct Fields<'a>(&'a mut [u8]);

impl Put for Fields<'_> {
    #[inline(always)]
    fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        let (head, rest) = std::mem::take(&mut self.0)
            .split_first_chunk_mut::<N>()
            .expect("as many bytes as the record's kind has");
        *head = bytes;
        self.0 = rest;
    }
}

impl Fields<'_> {
    /// Every byte has been put.
    #[inline(always)]
    pub(super) fn finish(self) {
        debug_assert!(self.0.is_empty(), "{} bytes were not put", self.0.len());
    }
}

/// Takes fields from the front of a slice. Every method fails with [`RecordError::Truncated`] where too few bytes
/// remain.
pub(super) struct Decoder<'a>(pub(super) &'a [u8]);

impl<'a> Decoder<'a> {
    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(*head)
    }

    #[inline(always)]
    fn slice(&mut self, len: usize) -> Result<&'a [u8], RecordError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes as fields of their own: one look at the length serves them all.
    #[inline(always)]
    pub(super) fn fields<const N: usize>(&mut self) -> Result<Decoder<'a>, RecordError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(RecordError::Truncated)?;
        self.0 = rest;
        Ok(Decoder(head))
    }

    #[inline(always)]
    pub(super) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline(always)]
    pub(super) fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline(always)]
    pub(super) fn bool(&mut self, field: &'static str) -> Result<bool, RecordError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            code => Err(RecordError::UnknownCode { field, code }),
        }
    }

    #[inline(always)]
    pub(super) fn money(&mut self) -> Result<Money, RecordError> {
        self.array().map(i64::from_le_bytes).map(Money::from_paise)
    }

    #[inline(always)]
    pub(super) fn price(&mut self, field: &'static str) -> Result<Price, RecordError> {
        self.optional_price()?.ok_or(RecordError::OutOfRange { field })
    }

    #[inline(always)]
    pub(super) fn optional_price(&mut self) -> Result<Option<Price>, RecordError> {
        self.u32().map(Price::from_paise)
    }

    #[inline(always)]
    pub(super) fn quantity(&mut self, field: &'static str) -> Result<Quantity, RecordError> {
        Quantity::new(self.u32()?).ok_or(RecordError::OutOfRange { field })
    }

    #[inline(always)]
    pub(super) fn optional_quantity(&mut self, field: &'static str) -> Result<Option<Quantity>, RecordError> {
        match self.u32()? {
            NO_QUANTITY => Ok(None),
            shares => Quantity::new(shares)
                .map(Some)
                .ok_or(RecordError::OutOfRange { field }),
        }
    }

    #[inline(always)]
    pub(super) fn ratio(&mut self) -> Result<Ratio, RecordError> {
        self.u32().map(Ratio::from_ppm)
    }

    /// `len` bytes of UTF-8 from the tail.
    #[inline(always)]
    pub(super) fn str(&mut self, len: usize, field: &'static str) -> Result<&'a str, RecordError> {
        std::str::from_utf8(self.slice(len)?).map_err(|_| RecordError::NotUtf8 { field })
    }

    #[inline(always)]
    pub(super) fn text<const N: usize>(
        &mut self,
        len: u8,
        field: &'static str,
    ) -> Result<Text<N>, RecordError> {
        if len == 0 {
            return Ok(Text::EMPTY);
        }
        Text::new(self.str(usize::from(len), field)?).ok_or(RecordError::OutOfRange { field })
    }
}
