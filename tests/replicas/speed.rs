//! Reads with a standby and without: figures. Nothing is asserted of them, since here all servers have the same cores, and
//! without a standby most answers are remembered.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cluster::Node;
use crate::postgres::Scratch;
use crate::site::Site;
use crate::{PREFIX, WRITTEN, alone};

const CLIENTS: usize = 8;
const TIME: Duration = Duration::from_secs(3);

/// Reads a second, while something is committed all the time: else the primary would answer what it remembers.
fn reads_a_second(site: &Site, name: &str) -> f64 {
    let keys: Vec<_> = (0..=CLIENTS).map(|client| site.token(&format!("{name}-{client}"))).collect();
    std::thread::sleep(Duration::from_secs(1)); // until the standby has the tokens
    let (reads, is_over, began) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for key in &keys[..CLIENTS] {
            let (reads, is_over) = (&reads, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let path = format!("{WRITTEN}?page_size=20");
                    assert_eq!(site.server.ask_as(key, "GET", &path, "").unwrap().status, 200);
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for object in 0.. {
            let body = json!({ "name": format!("{name} {object}") }).to_string();
            assert_eq!(site.server.ask_as(&keys[CLIENTS], "POST", WRITTEN, &body).unwrap().status, 201);
            std::thread::sleep(Duration::from_millis(50));
            if began.elapsed() > TIME {
                break;
            }
        }
        is_over.store(true, Ordering::SeqCst);
    });
    f64::from(u32::try_from(reads.into_inner()).unwrap()) / began.elapsed().as_secs_f64()
}

#[test]
fn reads_go_to_a_standby_where_there_is_one() {
    let _alone = alone();
    let scratch = Scratch::new(PREFIX);
    let primary = Node::primary(&scratch);
    let standby = primary.standby(&scratch, "standby");
    let without = Site::open(&scratch, "without", &[&primary], &[]);
    let with = Site::open(&scratch, "with", &[&primary], &[&standby]);
    with.is_in_use(&standby, true);
    let doctor = with.server.command().arg("doctor").output().unwrap();
    let report = String::from_utf8(doctor.stdout).unwrap();
    let line = format!("\nreplica     {}: at most ", standby.address());
    assert!(doctor.status.success() && report.contains(&line), "{report}");
    let (alone, beside) = (reads_a_second(&without, "without"), reads_a_second(&with, "with"));
    let (by_standby, by_primary) = (with.reads(Some(&standby)), with.reads(None));
    println!(
        "reads a second: {alone:.0} without a standby, {beside:.0} with one ({by_standby} and {by_primary})"
    );
    assert!(by_standby > 10.0 * by_primary, "{by_standby} and {by_primary}: {}", with.server.log());
    assert!(without.reads(None) < 1.0, "they are counted where there is something to choose from");
}
