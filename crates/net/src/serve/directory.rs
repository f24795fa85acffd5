//! Static files from one folder: no way out of it by `..`, by encoding or by symbolic link; no hidden files, no
//! listings.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use tokio::fs::{self, File};
use tokio::io::AsyncSeekExt as _;

use super::body::{AnswerBody, FileBody};
use super::pages::{self, Wanted};
use crate::snapshot::Admission;

/// A folder that is served.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

/// The folder cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("the folder {} cannot be served: {source}", path.display())]
pub struct DirectoryError {
    path: PathBuf,
    source: io::Error,
}

impl Directory {
    /// The folder at `path`, which must exist.
    ///
    /// # Errors
    /// [`DirectoryError`].
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// assert!(net::serve::Directory::open(folder.path()).is_ok());
    /// assert!(net::serve::Directory::open(&folder.path().join("absent")).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open(path: &Path) -> Result<Self, DirectoryError> {
        let problem = |source| DirectoryError { path: path.to_owned(), source };
        let root = path.canonicalize().map_err(problem)?;
        if !root.is_dir() {
            return Err(problem(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder")));
        }
        Ok(Directory { root })
    }

    /// Answers with a file, to whom was admitted.
    pub(crate) async fn answer(&self, _admission: &Admission, request: &Parts) -> Response<AnswerBody> {
        let wanted = Wanted::of(&request.headers);
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let sentence = "Files can be read with GET and HEAD.";
            let mut response =
                pages::problem(wanted, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", sentence);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let found = match relative(request.uri.path()) {
            Some(relative) => self.find(&relative, request.uri.path().ends_with('/')).await,
            None => Err(io::ErrorKind::NotFound.into()),
        };
        match found {
            Ok(Found::File(path)) => {
                send(&request.headers, &path).await.unwrap_or_else(|error| failed(wanted, &error))
            }
            Ok(Found::Folder) => moved(wanted, request.uri.path()),
            Err(error) => failed(wanted, &error),
        }
    }

    async fn find(&self, relative: &Path, is_folder: bool) -> io::Result<Found> {
        let mut path = self.root.join(relative);
        if is_folder {
            path.push("index.html");
        }
        // Follows every symbolic link first, so that what is compared is where the file really is.
        let path = fs::canonicalize(path).await?;
        if !path.starts_with(&self.root) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let metadata = fs::metadata(&path).await?;
        if metadata.is_file() {
            Ok(Found::File(path))
        } else if metadata.is_dir() && !is_folder {
            Ok(Found::Folder)
        } else {
            // A socket, a pipe or a device: opening one can block for good.
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

enum Found {
    File(PathBuf),
    Folder,
}

/// The path below the folder that a request's path names; `None` where it names nothing that is ever served.
fn relative(path: &str) -> Option<PathBuf> {
    let mut relative = PathBuf::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let segment = pki::percent_decode(segment)?;
        // After decoding, so that %2e%2e, %2f and %5c are seen. `.well-known` is meant to be public (RFC 8615).
        let hidden = segment.starts_with('.') && segment != ".well-known";
        if hidden || segment.contains(['/', '\\', '\0', ':']) {
            return None;
        }
        relative.push(segment);
    }
    Some(relative)
}

async fn send(headers: &HeaderMap, path: &Path) -> io::Result<Response<AnswerBody>> {
    let mut file = File::open(path).await?;
    let metadata = file.metadata().await?;
    let length = metadata.len();
    let modified = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let etag = modified.map(|at| format!("\"{:x}-{length:x}\"", at.as_nanosecond()));

    let mut response = Response::new(AnswerBody::Empty);
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What one client may read, a shared cache must not give to another.
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Some(at) = modified
        && let Ok(value) = HeaderValue::from_str(&at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
    {
        answer.insert(header::LAST_MODIFIED, value);
    }
    if let Some(value) = etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok()) {
        answer.insert(header::ETAG, value);
    }
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if let (Some(known), Some(etag)) = (known, &etag)
        && known.split(',').any(|one| one.trim() == "*" || one.trim().trim_start_matches("W/") == etag)
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    // A range of another version would be no range of this file (RFC 9110 section 13.1.5).
    let same = headers
        .get(header::IF_RANGE)
        .is_none_or(|value| value.to_str().is_ok_and(|value| Some(value) == etag.as_deref()));
    let range = headers.get(header::RANGE).filter(|_| same).and_then(|value| value.to_str().ok());
    let (start, count) = match range.map_or(Range::Whole, |range| Range::parse(range, length)) {
        Range::Whole => (0, length),
        Range::Part { start, end } => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            content_range(response.headers_mut(), &format!("bytes {start}-{end}/{length}"));
            (start, end - start + 1)
        }
        Range::Unsatisfiable => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            content_range(response.headers_mut(), &format!("bytes */{length}"));
            return Ok(response);
        }
    };
    if start > 0 {
        file.seek(SeekFrom::Start(start)).await?;
    }
    Ok(response.map(|_| AnswerBody::File(FileBody::new(file, count))))
}

fn content_range(headers: &mut HeaderMap, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

/// A range of bytes (RFC 9110 section 14.2), where it is one; several are answered with the whole file.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    Whole,
    /// The last byte is in it.
    Part {
        start: u64,
        end: u64,
    },
    Unsatisfiable,
}

impl Range {
    fn parse(text: &str, length: u64) -> Range {
        let Some((first, last)) = text.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
            return Range::Whole;
        };
        let number = |digits: &str| digits.parse::<u64>().ok().filter(|_| !digits.starts_with('+'));
        match (first, number(first), last, number(last)) {
            ("", _, _, Some(suffix)) if suffix == 0 || length == 0 => Range::Unsatisfiable,
            ("", _, _, Some(suffix)) => Range::Part { start: length.saturating_sub(suffix), end: length - 1 },
            (_, Some(start), "", _) if start < length => Range::Part { start, end: length - 1 },
            (_, Some(start), _, Some(end)) if start <= end && start < length => {
                Range::Part { start, end: end.min(length - 1) }
            }
            (_, Some(start), "", _) | (_, Some(start), _, Some(_)) if start >= length => Range::Unsatisfiable,
            _ => Range::Whole,
        }
    }
}

fn moved(wanted: Wanted, path: &str) -> Response<AnswerBody> {
    let sentence = "This is a folder; its address ends in a slash.";
    let mut response = pages::problem(wanted, StatusCode::MOVED_PERMANENTLY, "moved_permanently", sentence);
    // One slash at the front: two would be read as another host.
    if let Ok(location) = HeaderValue::from_str(&format!("/{}/", path.trim_start_matches('/'))) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn failed(wanted: Wanted, error: &io::Error) -> Response<AnswerBody> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            pages::problem(wanted, StatusCode::NOT_FOUND, "not_found", "There is no such file.")
        }
        io::ErrorKind::PermissionDenied => {
            pages::problem(wanted, StatusCode::FORBIDDEN, "unreadable", "The server may not read this file.")
        }
        _ => {
            tracing::warn!(%error, "a file cannot be served");
            let sentence = "The file could not be read.";
            pages::problem(wanted, StatusCode::INTERNAL_SERVER_ERROR, "read_failed", sentence)
        }
    }
}

fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" | "log" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "tar" => "application/x-tar",
        "pem" => "application/x-pem-file",
        "crt" | "cer" => "application/pkix-cert",
        "crl" => "application/pkix-crl",
        "p12" | "pfx" => "application/x-pkcs12",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_path_leaves_the_folder() {
        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/a/%2E%2E/%2e%2e/secret",
            "/..%5csecret",
            "/%00",
            "/.git/config",
            "/a/.env",
            "/c:/windows",
            "/%zz",
            "/%ff",
        ] {
            assert_eq!(relative(path), None, "{path}");
        }
        assert_eq!(relative("//a//b%20c"), Some(PathBuf::from("a/b c")));
        assert_eq!(relative("/.well-known/x"), Some(PathBuf::from(".well-known/x")));
    }

    #[test]
    fn ranges_are_cut_to_the_file() {
        let cases = [
            ("bytes=0-3", Range::Part { start: 0, end: 3 }),
            ("bytes=8-", Range::Part { start: 8, end: 9 }),
            ("bytes=8-99", Range::Part { start: 8, end: 9 }),
            ("bytes=-4", Range::Part { start: 6, end: 9 }),
            ("bytes=-99", Range::Part { start: 0, end: 9 }),
            ("bytes=10-", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=5-4", Range::Whole),
            ("bytes=0-1,3-4", Range::Whole),
            ("lines=0-1", Range::Whole),
        ];
        for (text, expected) in cases {
            assert_eq!(Range::parse(text, 10), expected, "{text}");
        }
        assert_eq!(Range::parse("bytes=-5", 0), Range::Unsatisfiable);
    }
}
