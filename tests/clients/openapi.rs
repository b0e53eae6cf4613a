//! The OpenAPI document against the real server: Schemathesis makes requests out of it, sound and unsound ones, and
//! every answer has to be one that the document promises.

use serde_json::Value;

use crate::python::{program, succeed};
use crate::support::server::{MARKET, Site};

/// Choices that a failure can be repeated with.
const SEED: &str = "7";

/// Of all checks the only one that cannot hold: an order that the document permits may be rejected for what no document
/// knows, such as a symbol that is not listed, or a risk check.
const CHECK_LEFT_OUT: &str = "positive_data_acceptance";

/// How long one answer may take: that is up to the machine. Schemathesis' own limit is 10.
const PATIENCE_S: &str = "120";

/// `main` may do everything and is never throttled: a rate limit would answer most of what is tried.
const UNLIMITED: &str = "[[accounts]]\nname = \"main\"\nbalance = \"1000000000.00\"\nprofile = \"unlimited-paper\"\n\
                         role = \"admin\"\n";

#[test]
fn every_answer_is_a_documented_one() {
    let site = Site::new();
    site.configure(UNLIMITED);
    let mut server = site.start(MARKET);
    let document = format!("http://{}/api/oms/openapi.json", server.address());
    let reports = tempfile::tempdir().unwrap();
    let report = succeed(
        program("schemathesis")
            .current_dir(reports.path())
            .args(["run", &document, "--checks", "all", "--seed", SEED])
            .args(["--exclude-checks", CHECK_LEFT_OUT])
            .args(["--request-timeout", PATIENCE_S, "--max-response-time", PATIENCE_S])
            .args([
                "--max-examples",
                "15",
                "--phases",
                "examples,coverage,fuzzing,stateful",
            ])
            .args([
                "--continue-on-failure",
                "--no-shrink",
                "--suppress-health-check",
                "all",
            ]),
    );
    let document = server.client().get("/api/oms/openapi.json").expect(200);
    let paths = document["paths"].as_object().unwrap().iter();
    // Schemathesis leaves out where it got the document from.
    let tested = paths.filter(|(path, _)| *path != "/api/oms/openapi.json");
    let methods = tested.flat_map(|(_, path)| path.as_object().unwrap().keys());
    let operations = methods.filter(|method| *method != "parameters").count();
    assert!(operations > 20);
    assert!(report.contains(&format!("Tested: {operations}\n")), "{report}");
    server.assert_well();
}

#[test]
fn the_document_and_its_page_are_open_to_read() {
    let site = Site::new();
    site.configure("[auth]\nloopback_account = \"\"\n");
    let server = site.start(MARKET);
    let mut client = server.client();
    client.get("/api/oms/orders").expect_error(401);
    let document = client.get("/api/oms/openapi.json").expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    for (path, of_path) in document["paths"].as_object().unwrap() {
        let operations = of_path.as_object().unwrap().iter();
        for (method, operation) in operations.filter(|(method, _)| *method != "parameters") {
            let lists = [&of_path["parameters"], &operation["parameters"]];
            let parameters = lists.into_iter().filter_map(Value::as_array).flatten();
            for parameter in parameters.filter(|parameter| parameter["in"] == "path") {
                let place = format!("{{{}}}", parameter["name"].as_str().unwrap());
                assert!(path.contains(&place), "{method} {path} has no {place}");
            }
        }
    }
    let page = client.get("/api/oms/docs");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").is_some());
    let text = String::from_utf8(page.body).unwrap();
    for file in ["/api/oms/docs.js", "/api/oms/docs.css"] {
        assert!(text.contains(file), "{file}");
        assert_eq!(client.get(file).status, 200, "{file}");
    }
}
