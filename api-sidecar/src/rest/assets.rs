//! The dashboard's files, embedded in the binary.

use super::answer::Answer;

struct Asset {
    /// Below `/`; the page itself is empty.
    path: &'static str,
    /// Below `assets/`.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests compare it with the folder"))]
    file: &'static str,
    content_type: &'static str,
    body: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";
const SVG: &str = "image/svg+xml";

/// An asset whose path is that of its file, or another.
macro_rules! asset {
    ($file:literal, $content_type:expr) => {
        asset!($file => $file, $content_type)
    };
    ($file:literal => $path:literal, $content_type:expr) => {
        Asset {
            path: $path,
            file: $file,
            content_type: $content_type,
            body: include_bytes!(concat!("../../assets/", $file)),
        }
    };
}

const ASSETS: &[Asset] = &[
    asset!("index.html" => "", HTML),
    asset!("api/docs.html" => "api/oms/docs", HTML),
    asset!("api/docs.css" => "api/oms/docs.css", CSS),
    asset!("api/docs.js" => "api/oms/docs.js", JAVASCRIPT),
    asset!("api/latency.html" => "api/oms/latency.html", HTML),
    asset!("api/latency.js" => "api/oms/latency.js", JAVASCRIPT),
    asset!("api/openapi.json" => "api/oms/openapi.json", JSON),
    asset!("static/css/dashboard.css", CSS),
    asset!("static/favicon.svg", SVG),
    asset!("static/js/dialogs.js", JAVASCRIPT),
    asset!("static/js/market-depth.js", JAVASCRIPT),
    asset!("static/js/oms-client.js", JAVASCRIPT),
    asset!("static/js/order-ticket.js", JAVASCRIPT),
];

/// Nothing but our own files may run, load or embed (the page has no inline handlers); its data comes from this
/// origin's `/api` and `/ws`.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page at `/`, or one of its files. `None` for an unknown path.
pub(super) fn page(path: &[&str]) -> Option<Answer> {
    let path = path.join("/");
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let answer = Answer::of_bytes(200, asset.content_type, asset.body.to_vec())
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("X-Frame-Options", "DENY");
    Some(answer)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn files_below(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .flat_map(|path| {
                if path.is_dir() {
                    files_below(&path)
                } else {
                    vec![path]
                }
            })
            .collect()
    }

    #[test]
    fn every_file_of_the_dashboard_is_served() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
        let files: BTreeSet<PathBuf> = files_below(&root).into_iter().collect();
        let served: BTreeSet<PathBuf> = ASSETS.iter().map(|asset| root.join(asset.file)).collect();
        assert_eq!(files, served);
    }
}
