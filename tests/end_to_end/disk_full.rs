//! A disk that fills up: new orders are refused with a reason, what gets a trader out still works, and trading goes on
//! by itself when there is space again.
//!
//! `DISK_FULL_CYCLES` sets how often (2 by default). Needs the right to mount a small file system in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::alerts;
use crate::life_of_an_order::{id_of, limit, trade};
use crate::support::http::Client;
use crate::support::server::{COUNTER, QUIET, Site};
use crate::support::wait_for;

const ORDERS: &str = "/api/oms/orders";
const MIB: u64 = 1024 * 1024;

/// A file system of its own, gone when this is.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount.
    fn mount(at: &Path, mib: u64) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={mib}m,mode=700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mounted.status.success().then(|| SmallDisk(at.to_owned()))
    }

    fn free(&self) -> u64 {
        let space = rustix::fs::statvfs(&self.0).unwrap();
        space.f_bavail * space.f_frsize
    }

    /// Writes a file that leaves so much.
    fn fill_up_to(&self, left: u64) -> PathBuf {
        let filler = self.0.join("filler");
        let bytes = usize::try_from(self.free().saturating_sub(left)).unwrap();
        fs::write(&filler, vec![1_u8; bytes]).unwrap();
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Places an order: its id, or the text of the refusal for want of space.
fn place(client: &mut Client) -> Result<u64, String> {
    let answer = client.post(ORDERS, &limit("SELL", 10, "2460.00"));
    if answer.status == 503 {
        return Err(answer.expect(503).to_string());
    }
    Ok(id_of(&answer.expect(201)))
}

fn cancel(client: &mut Client, order: u64) {
    client.delete(&format!("{ORDERS}/{order}")).expect(200);
}

/// With 10 sold short and `resting` 10 more on sale: what only reduces that is taken, the rest refused and not sequenced.
fn reduce_only(client: &mut Client, resting: u64) {
    let exit = client.post(ORDERS, &limit("BUY", 4, "2440.00")).expect(201);
    let exit = id_of(&exit);
    let at = |order: u64| format!("{ORDERS}/{order}");
    let modified = [
        (at(exit), json!({"price": 2441.00}), 200),
        (at(exit), json!({"quantity": 10}), 200),
        // One more would be long.
        (at(exit), json!({"quantity": 11}), 503),
        (at(resting), json!({"quantity": 8}), 200),
        (at(resting), json!({"quantity": 9}), 503),
        (at(resting), json!({"price": 2461.00}), 503),
    ];
    for (path, body, status) in modified {
        let answer = client.put(&path, &body).expect(status);
        assert_eq!(answer["code"] == "disk_low", status == 503, "{body}: {answer}");
    }
    let refused = client.post(ORDERS, &limit("BUY", 1, "2440.00")).expect(503);
    assert_eq!(refused["code"], "disk_low", "the exit covers all of the position");
    cancel(client, exit);
    let next = client.post(ORDERS, &limit("BUY", 10, "2440.00")).expect(201);
    assert_eq!(id_of(&next), exit + 1, "what was refused has no number");
    cancel(client, id_of(&next));
}

#[test]
fn a_full_disk_stops_new_orders_and_nothing_else() {
    let cycles = std::env::var("DISK_FULL_CYCLES").map_or(2, |text| text.parse::<u64>().unwrap());
    let site = Site::with_accounts(&[COUNTER]);
    let config = fs::read_to_string(site.config_file()).unwrap();
    site.configure(&format!("{config}\n[journal]\nsegment_mib = 1\n"));
    // Dropped before the site, and after the server.
    // The journal grows by about half of this in a cycle, and what it has written stays.
    let disk = SmallDisk::mount(&site.data_dir(), 16 + cycles)
        .expect("needs the right to mount a tmpfs: run as root");
    let server = site.start(QUIET);
    trade(&server, &site);
    let mut client = server.client_of(&site, "counter");
    let mut hears = server.socket();
    // Nothing else: who does not read what there is to tell of many orders is disconnected.
    hears.say(r#"{"type":"subscribe","events":["risk:alert"]}"#);
    for cycle in 1..=usize::try_from(cycles).unwrap() {
        let resting = place(&mut client).unwrap();
        let filler = disk.fill_up_to(2 * MIB);
        let refusal = wait_for("the refusal of an order", || match place(&mut client) {
            Ok(order) => {
                cancel(&mut client, order);
                None
            }
            Err(refusal) => Some(refusal),
        });
        assert!(refusal.contains("disk_low"), "{refusal}");
        // Told once each time, on every way out; the row comes when there is space for it.
        let alert = alerts::pushed(&mut hears, "disk_low");
        assert_eq!(alert["severity"], "WARNING", "{alert}");
        assert_eq!(alerts::listed(&server, "disk_low").len(), cycle);
        reduce_only(&mut client, resting);
        cancel(&mut client, resting);
        client.get("/api/oms/orders/active").expect(200);
        fs::remove_file(filler).unwrap();
        let order = wait_for("the next order", || place(&mut client).ok());
        cancel(&mut client, order);
        assert_eq!(alerts::rows(&site, "disk_low", cycle).len(), cycle);
    }
    let hash = server.stop_with_hash();
    assert_eq!(site.replay().state_hash, hash);
}
