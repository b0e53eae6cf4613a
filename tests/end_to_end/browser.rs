//! The dashboard in a real Chromium: `tests/browser/run.mjs` drives it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::server::{MARKET, Site};
use crate::support::wait_for;

/// What `run.mjs` needs, or the sentence that says what is missing.
fn requirements() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let chromium = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    if !Path::new(&chromium).exists() {
        return Err(format!(
            "the browser test needs Chromium at {chromium}: install it (apt-get install chromium) or set CHROMIUM to where it is"
        ));
    }
    let node = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if !node.is_ok_and(|status| status.success()) {
        return Err(
            "the browser test needs Node.js 20 or later: install it (apt-get install nodejs npm)".to_owned(),
        );
    }
    if !folder.join("node_modules/playwright-core").is_dir() {
        return Err(
            "the browser test needs its packages: run scripts/setup.sh, or npm ci in tests/browser"
                .to_owned(),
        );
    }
    Ok(folder)
}

/// `SCREENSHOT=FILE` keeps a picture of the page.
#[test]
fn the_dashboard_works_in_a_browser() {
    let folder = requirements().unwrap_or_else(|missing| panic!("{missing}"));
    let site = Site::new();
    let mut server = site.start(MARKET);
    wait_for("a last price of RELIANCE", || {
        let depth = server.client().get("/api/oms/depth/RELIANCE").expect(200);
        depth["last_price"].is_number().then_some(())
    });
    let output = Command::new("node")
        .current_dir(folder)
        .args([
            "run.mjs",
            &format!("http://localhost:{}", server.address().port()),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(text.trim())
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(result["ok"], true, "{result}");
    server.assert_well();
}
