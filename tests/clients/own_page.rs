//! A trader's own page in place of ours: a folder of files, or a whole web application behind the same port.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::python::{program, succeed};
use crate::support::server::{QUIET, Site};

/// The application, ended with its guard.
struct Application {
    child: Child,
    port: u16,
}

impl Application {
    fn start() -> Application {
        let mut child = program("python")
            .arg("upstream_app.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Application {
            child,
            port: line.trim().parse().unwrap(),
        }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_existing_application_keeps_working_behind_our_port() {
    let site = Site::new();
    let application = Application::start();
    site.configure(&format!(
        "[dashboard]\nupstream = \"http://127.0.0.1:{}\"\n",
        application.port
    ));
    let mut server = site.start(QUIET);
    succeed(program("python").args(["upstream_check.py", &format!("http://{}", server.address())]));

    drop(application);
    let mut client = server.client();
    assert_eq!(client.get("/").status, 502);
    client.get("/api/oms/orders").expect(200);
    server.assert_well();
}

#[test]
fn a_folder_takes_the_place_of_the_built_in_page() {
    let site = Site::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "<p onclick='x()'>mine</p>").unwrap();
    site.configure(&format!(
        "[dashboard]\nassets_dir = \"{}\"\n",
        folder.path().display()
    ));
    let server = site.start(QUIET);
    let mut client = server.client();
    let page = client.get("/");
    assert_eq!(
        (page.status, page.body.as_slice()),
        (200, &b"<p onclick='x()'>mine</p>"[..])
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("'unsafe-inline'")
    );
    let docs = client.get("/api/oms/docs");
    // The existing client opens ws://localhost:8050 also on a page at 127.0.0.1.
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("connect-src 'self' ws://localhost:* ws://127.0.0.1:*;"),
        "{policy}"
    );
    assert!(!docs.header("content-security-policy").unwrap().contains("unsafe"));
    client.get("/static/js/oms-client.js").expect_error(404);
    client.get("/api/oms/account").expect(200);
}

#[test]
fn a_page_that_cannot_be_is_refused_in_one_sentence() {
    let site = Site::new();
    for (section, part) in [
        ("assets_dir = \"/no/such/folder\"", "dashboard.assets_dir"),
        ("upstream = \"https://127.0.0.1:1\"", "dashboard.upstream"),
        ("upstream = \"http://127.0.0.1:1/path\"", "dashboard.upstream"),
        (
            "assets_dir = \"/tmp\"\nupstream = \"http://127.0.0.1:1\"",
            "cannot be combined",
        ),
    ] {
        site.configure(&format!("[dashboard]\n{section}\n"));
        let output = site.refused(QUIET);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && text.contains(part),
            "{section}: {text}"
        );
    }
}
