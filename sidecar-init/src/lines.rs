//! Splits what a daemon writes into lines, each headed by the daemon's name.
//!
//! Pure: bytes in, bytes out. What is handed on always ends with a line's end, so that the lines of two daemons
//! can follow each other, and no daemon can continue, overwrite or forge another's.

/// A line longer than this is broken, in bytes: an endless line may not fill the memory.
pub(crate) const LONGEST: usize = 64 * 1024;

/// One stream of a daemon.
#[derive(Debug)]
pub(crate) struct Lines {
    head: Vec<u8>,
    /// The unfinished line, without its head.
    rest: Vec<u8>,
}

impl Lines {
    /// A stream whose lines are headed `[name] `.
    pub(crate) fn of(name: &str) -> Self {
        Self { head: format!("[{name}] ").into_bytes(), rest: Vec::new() }
    }

    /// Whether a line has begun and not ended.
    pub(crate) fn unfinished(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Takes in bytes and appends every line that they finish to `out`.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            self.keep(bytes, out);
            return;
        };
        let (mut whole, tail) = bytes.split_at(last + 1);
        if !self.rest.is_empty() {
            let end = memchr::memchr(b'\n', whole).map_or(whole.len(), |end| end + 1);
            self.rest.extend_from_slice(&whole[..end]);
            let mut line = std::mem::take(&mut self.rest);
            self.put(&line, out);
            line.clear();
            self.rest = line;
            whole = &whole[end..];
        }
        if memchr::memchr(b'\r', whole).is_none() {
            let mut start = 0;
            for end in memchr::memchr_iter(b'\n', whole) {
                self.put_head(out);
                out.extend_from_slice(&whole[start..=end]);
                start = end + 1;
            }
        } else {
            whole.split_inclusive(|byte| *byte == b'\n').for_each(|line| self.put(line, out));
        }
        self.keep(tail, out);
    }

    /// Takes in a piece of a line that does not end in it.
    fn keep(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        while self.rest.len() + piece.len() >= LONGEST {
            let (now, later) = piece.split_at(LONGEST - self.rest.len());
            self.rest.extend_from_slice(now);
            piece = later;
            self.flush(out);
        }
        self.rest.extend_from_slice(piece);
    }

    /// Ends the unfinished line, if there is one.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        if self.rest.is_empty() {
            return;
        }
        let mut line = std::mem::take(&mut self.rest);
        line.push(b'\n');
        self.put(&line, out);
        line.clear();
        // The memory of one long line is not kept for ever.
        line.shrink_to(1024);
        self.rest = line;
    }

    fn put_head(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
    }

    /// Writes a finished line. After a carriage return the terminal writes over the head, so that it stands again.
    fn put(&self, line: &[u8], out: &mut Vec<u8>) {
        self.put_head(out);
        let mut start = 0;
        for at in memchr::memchr_iter(b'\r', line) {
            if line[at + 1] != b'\n' && line[at + 1] != b'\r' {
                out.extend_from_slice(&line[start..=at]);
                self.put_head(out);
                start = at + 1;
            }
        }
        out.extend_from_slice(&line[start..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<u8> {
        let mut lines = Lines::of("d");
        let mut out = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, &mut out);
        }
        lines.flush(&mut out);
        out
    }

    fn check(chunks: &[&str], expect: &str) {
        let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
        assert_eq!(String::from_utf8_lossy(&split(&chunks)), expect);
    }

    #[test]
    fn every_line_is_headed() {
        check(&["one\ntwo\n"], "[d] one\n[d] two\n");
        check(&["o", "ne", "\n", "two"], "[d] one\n[d] two\n");
        check(&["\n\n"], "[d] \n[d] \n");
        check(&[""], "");
        check(&["windows\r\n"], "[d] windows\r\n");
        check(&["a\0b\n"], "[d] a\0b\n");
    }

    #[test]
    fn a_carriage_return_cannot_forge_a_head() {
        check(&["me\r[other] lies\n"], "[d] me\r[d] [other] lies\n");
        check(&["me\r", "[other] lies\n"], "[d] me\r[d] [other] lies\n");
        check(&["50%\r100%\r\n"], "[d] 50%\r[d] 100%\r\n");
        check(&["x\r\r\r\n"], "[d] x\r\r\r\n");
        check(&["x\r\ry\n"], "[d] x\r\r[d] y\n");
        check(&["x\r"], "[d] x\r\n");
    }

    #[test]
    fn invalid_text_passes() {
        assert_eq!(split(&[b"\xff\xfe\n"]), b"[d] \xff\xfe\n");
    }

    #[test]
    fn an_endless_line_is_broken_and_not_kept() {
        let mut lines = Lines::of("d");
        let mut out = Vec::new();
        lines.feed(&vec![b'x'; 3 * LONGEST + 1], &mut out);
        assert_eq!(out.split(|byte| *byte == b'\n').count(), 4);
        assert_eq!(lines.rest.len(), 1);
    }

    proptest! {
        /// However the bytes arrive, the output is the same, and without heads it is the input.
        #[test]
        fn chunks_do_not_matter(
            bytes in proptest::collection::vec(prop_oneof![4 => Just(b'x'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>()], 0..400),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let out = split(&chunks);
            prop_assert_eq!(&out, &split(&[&bytes]));
            prop_assert_eq!(&out, &model(&bytes));
        }
    }

    /// The same in the slowest and simplest way.
    fn model(bytes: &[u8]) -> Vec<u8> {
        let mut text = bytes.to_vec();
        if text.last().is_some_and(|last| *last != b'\n') {
            text.push(b'\n');
        }
        let mut out = Vec::new();
        let mut head = true;
        for (at, byte) in text.iter().enumerate() {
            if head {
                out.extend_from_slice(b"[d] ");
            }
            out.push(*byte);
            let next = text.get(at + 1);
            head = *byte == b'\n' || (*byte == b'\r' && !matches!(next, Some(b'\n' | b'\r')));
        }
        out
    }
}
