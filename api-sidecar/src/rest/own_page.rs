//! A trader's own page: the files of one folder, at `/`.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::answer::Answer;
use super::limits::ASSET_BYTES_MAX;

/// Unlike our own page, a trader's may have inline handlers and scripts; it still talks to this origin only, and over
/// WebSocket to this host: the existing client names `ws://localhost:8050` also where it is opened at 127.0.0.1.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self' 'unsafe-inline' data:; \
     connect-src 'self' ws://localhost:* ws://127.0.0.1:*; base-uri 'self'; \
     form-action 'self'; frame-ancestors 'self'; object-src 'none'";

/// The file that a path names; that of a folder is its `index.html`, below a path that ends in a slash, so that what it
/// names beside itself is found. `None` for what is not there, is no plain file,
/// is hidden, is too large, or lies outside by way of a link.
pub(super) fn page(folder: &Path, path: &[&str]) -> Option<Answer> {
    let plain = |segment: &&str| !segment.starts_with('.') && !segment.contains(['/', '\\', '\0']);
    let last = path.len().checked_sub(1)?;
    let named = path.iter().enumerate().all(|(at, segment)| {
        // Only the end may be empty: `/` and `/charts/`.
        plain(segment) && (at == last || !segment.is_empty())
    });
    if !named {
        return None;
    }
    let root = fs::canonicalize(folder).ok()?;
    let mut file = fs::canonicalize(root.join(path.join("/"))).ok()?;
    if file.is_dir() {
        if path.last().is_some_and(|last| !last.is_empty()) && file.starts_with(&root) {
            return file.join("index.html").is_file().then(|| below(path));
        }
        file = fs::canonicalize(file.join("index.html")).ok()?;
    }
    if !file.starts_with(&root) || !file.is_file() {
        return None;
    }
    let mut body = Vec::new();
    let opened = File::open(&file).ok()?;
    let read = opened.take(ASSET_BYTES_MAX + 1).read_to_end(&mut body).ok()?;
    if read as u64 > ASSET_BYTES_MAX {
        tracing::warn!(file = %file.display(), "the file is too large to be served");
        return None;
    }
    let answer = Answer::of_bytes(200, content_type(&file), body)
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("Referrer-Policy", "same-origin");
    Some(answer)
}

/// Sends the client to the folder itself.
fn below(path: &[&str]) -> Answer {
    let mut location = String::new();
    for segment in path {
        location.push('/');
        location.extend(utf8_percent_encode(segment, NON_ALPHANUMERIC));
    }
    location.push('/');
    Answer::of_bytes(308, "text/plain; charset=utf-8", location.clone().into_bytes())
        .with_header("Location", location)
}

fn content_type(file: &Path) -> &'static str {
    let extension = file
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("");
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let site = tempfile::tempdir().unwrap();
        let folder = site.path().join("www");
        fs::create_dir_all(folder.join("charts")).unwrap();
        fs::write(site.path().join("secret.txt"), "secret").unwrap();
        fs::write(folder.join("index.html"), "home").unwrap();
        fs::write(folder.join("charts/index.html"), "charts").unwrap();
        fs::write(folder.join("app.JS"), "code").unwrap();
        fs::write(folder.join(".env"), "hidden").unwrap();
        fs::write(
            folder.join("big.bin"),
            vec![0; usize::try_from(ASSET_BYTES_MAX).unwrap() + 1],
        )
        .unwrap();
        symlink(site.path().join("secret.txt"), folder.join("link.txt")).unwrap();
        let served = |path: &[&str]| {
            page(&folder, path).map(|answer| (answer.content_type, String::from_utf8(answer.body).unwrap()))
        };
        let html = |text: &str| Some(("text/html; charset=utf-8", text.to_owned()));
        assert_eq!(served(&[""]), html("home"));
        assert_eq!(served(&["index.html"]), html("home"));
        fs::create_dir_all(folder.join("a b/empty")).unwrap();
        fs::write(folder.join("a b/index.html"), "spaced").unwrap();
        for (path, location) in [(&["charts"][..], "/charts/"), (&["a b"], "/a%20b/")] {
            let answer = page(&folder, path).unwrap();
            assert_eq!(answer.status, 308);
            assert!(
                answer.headers.contains(&("Location", location.into())),
                "{path:?}"
            );
        }
        assert!(page(&folder, &["a b", "empty"]).is_none());
        assert_eq!(served(&["charts", ""]), html("charts"));
        assert_eq!(
            served(&["app.JS"]).map(|(kind, _)| kind),
            Some("text/javascript; charset=utf-8")
        );
        for path in [
            &["none"][..],
            &[".env"],
            &["link.txt"],
            &["big.bin"],
            &["..", "secret.txt"],
            &["charts", "..", "..", "secret.txt"],
            &["../secret.txt"],
            &["", "index.html"],
            &[],
        ] {
            assert_eq!(served(path), None, "{path:?}");
        }
    }
}
