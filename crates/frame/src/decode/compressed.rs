//! Decompression by the ending of a file's name, and what a failed read means.

use std::fmt;
use std::io::{self, Read};

use stage::Error;

/// The decompressed contents of a file named `name`: `.gz` (any number of members) and `.zst` (any number of frames) are
/// decompressed, everything else is passed on.
pub fn decompressed(name: &str, reader: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
    let name = name.to_ascii_lowercase();
    let source = Source(reader);
    if name.ends_with(".gz") {
        Box::new(flate2::read::MultiGzDecoder::new(source))
    } else if name.ends_with(".zst") {
        match zstd::stream::read::Decoder::new(source) {
            Ok(decoder) => Box::new(decoder),
            Err(why) => Box::new(Broken(Some(why))),
        }
    } else {
        Box::new(source)
    }
}

/// What a failed read means: damaged contents are the file's fault, a failing source may recover.
pub(crate) fn read_error(why: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let of_contents = matches!(why.kind(), InvalidData | InvalidInput | UnexpectedEof | Other);
    let of_source = why.get_ref().is_some_and(|inner| inner.is::<SourceError>() || inner.is::<Error>());
    if of_contents && !of_source {
        return Error::data("the compressed contents are corrupt or cut off; write the file again, or remove it")
            .with_source(why);
    }
    if !of_source {
        return Error::unavailable("the file could not be read to its end").with_source(why);
    }
    match why.downcast::<SourceError>().map(|source| source.0).unwrap_or_else(|why| why).downcast::<Error>() {
        // The source has already said what is wrong and what to do.
        Ok(error) => error,
        Err(why) => Error::unavailable("the file could not be read to its end").with_source(why),
    }
}

/// The compressed bytes. Its errors are marked, so that they are not taken for damaged contents.
struct Source(Box<dyn Read + Send>);

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|why| match why.kind() {
            io::ErrorKind::Interrupted => why,
            kind => io::Error::new(kind, SourceError(why)),
        })
    }
}

#[derive(Debug)]
struct SourceError(io::Error);

impl fmt::Display for SourceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for SourceError {}

struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use stage::Kind;

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(name: &str, bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        decompressed(name, Box::new(io::Cursor::new(bytes))).read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn endings_choose_the_decompression() {
        let members = [gzip("one "), gzip("two")].concat();
        assert_eq!(read("a.ndjson.GZ", members).unwrap(), "one two");
        assert_eq!(read("a.csv.zst", zstd::encode_all("text".as_bytes(), 1).unwrap()).unwrap(), "text");
        assert_eq!(read("a.csv", b"text".to_vec()).unwrap(), "text");
    }

    #[test]
    fn damaged_contents_are_the_fault_of_the_data() {
        let mut cut = gzip(&"many words ".repeat(1000));
        cut.truncate(cut.len() / 2);
        assert_eq!(read_error(read("a.gz", cut).unwrap_err()).kind(), Kind::Data);
        let mut cut = zstd::encode_all("many words".repeat(1000).as_bytes(), 1).unwrap();
        cut.truncate(cut.len() / 2);
        assert_eq!(read_error(read("a.zst", cut).unwrap_err()).kind(), Kind::Data);
        assert_eq!(read_error(read("a.zst", b"no zstd at all".to_vec()).unwrap_err()).kind(), Kind::Data);
    }

    #[test]
    fn a_failing_source_is_not_the_fault_of_the_data() {
        struct Fails(fn() -> io::Error);
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err((self.0)())
            }
        }
        let failed = |why: fn() -> io::Error| {
            let why = decompressed("a.gz", Box::new(Fails(why))).read(&mut [0; 8]).unwrap_err();
            read_error(why)
        };
        assert_eq!(failed(|| io::Error::other("connection reset")).kind(), Kind::Unavailable);
        assert_eq!(failed(|| io::Error::other(Error::config("wrong password"))).message(), "wrong password");
    }
}
