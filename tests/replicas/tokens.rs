//! Tokens that a late standby doesn't know yet, or still knows.

use std::time::Instant;

use crate::cluster::Node;
use crate::postgres::Scratch;
use crate::site::{MAX_LAG, Site};
use crate::{DELAY, PREFIX, WRITTEN, alone};

const NEW: &str = "made-by-somebody-else";
const REFUSED: &str = "ak_stages_authentication_failures_total{reason=\"unknown\"}";

fn status(site: &Site, key: &str) -> u16 {
    site.server.ask_as(key, "GET", WRITTEN, "").unwrap().status
}

#[test]
fn a_new_token_holds_at_once_and_a_revoked_one_no_longer_than_a_standby_may_be_late() {
    let _alone = alone();
    let scratch = Scratch::new(PREFIX);
    let primary = Node::primary(&scratch);
    let standby = primary.standby(&scratch, "standby");
    let site = Site::open(&scratch, "server", &[&primary], &[&standby]);
    standby.set(DELAY);
    let revoked_here = site.token("revoked-here");
    site.is_in_use(&standby, true);
    std::thread::sleep(MAX_LAG);

    // authentik, or another server, makes one: nobody here knows that the standby doesn't have it.
    let insert = format!(
        "INSERT INTO authentik_core_token SELECT (jsonb_populate_record(t, jsonb_build_object('token_uuid', \
         gen_random_uuid(), 'identifier', 'new', 'key', '{NEW}'))).* FROM authentik_core_token t \
         WHERE t.identifier = 'revoked-here'"
    );
    primary.postgres.execute(&[&insert]);
    assert_eq!(status(&site, NEW), 200);
    assert!(site.metric(REFUSED) < 0.5, "nobody was refused");

    // Revoked here: at once.
    let path = "/api/v3/core/tokens/revoked-here/";
    assert_eq!(status(&site, &revoked_here), 200);
    assert_eq!(site.server.ask("DELETE", path, "").unwrap().status, 204);
    assert_eq!(status(&site, &revoked_here), 403);
    assert!((site.metric(REFUSED) - 1.0).abs() < 0.5, "one was refused, once");

    // Revoked by somebody else: as soon as the standby knows, and writes at once.
    std::thread::sleep(MAX_LAG);
    let read_before = site.reads(Some(&standby));
    primary.postgres.execute(&["DELETE FROM authentik_core_token WHERE identifier = 'new'"]);
    let revoked = Instant::now();
    assert_eq!(site.server.ask_as(NEW, "POST", WRITTEN, "{}").unwrap().status, 403);
    while status(&site, NEW) == 200 {
        assert!(revoked.elapsed() < MAX_LAG, "it holds for longer than a standby may be late");
    }
    println!("a token that was revoked elsewhere read for {} ms", revoked.elapsed().as_millis());
    assert!(site.reads(Some(&standby)) > read_before, "it was read from the standby");
}
