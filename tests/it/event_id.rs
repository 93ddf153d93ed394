//! CloudWatch's ids get shorter in rows, and come back digit by digit.

use hiwake::event_id::{long, short};
use proptest::prelude::*;

/// Of AWS's documentation: an event of 1432826855000.
const DOCUMENTED: &str = "31953106606966983378809025079804211143289615424298221568";

fn there(id: &str, timestamp: i64) -> String {
    short(id, timestamp, &mut String::new()).to_owned()
}

#[test]
fn a_documented_id_takes_23_bytes() {
    let form = there(DOCUMENTED, 1_432_826_855_000);
    assert_eq!(form, "~AU2bKof0ZlugT2rWIYEAAA");
    assert_eq!(long(&form, 1_432_826_855_000), DOCUMENTED);
}

#[test]
fn any_other_id_stays_as_it_is() {
    let zeros = "0".repeat(56);
    for (id, timestamp) in [
        (DOCUMENTED, 1_432_826_855_001),
        (DOCUMENTED, -1),
        (&DOCUMENTED[1..], 1_432_826_855_000),
        ("eventId1", 0),
        ("", 0),
        ("99999999999999999999999999999999999999999999999999999999", 5),
        (&zeros, 7),
    ] {
        assert_eq!(there(id, timestamp), id);
        assert_eq!(long(id, timestamp), id);
    }
    assert_eq!(there(&zeros, 0).len(), 23);
}

#[test]
fn an_id_that_looks_shortened_is_told_from_one() {
    let form = there(DOCUMENTED, 1_432_826_855_000);
    let twice = there(&form, 1_432_826_855_000);
    assert_ne!(form, twice);
    assert_eq!(long(&twice, 1_432_826_855_000), form);
}

proptest! {
    #[test]
    fn every_id_comes_back(id in ".{0,60}|[~0-9A-Za-z_-]{20,26}|[0-9]{56}", timestamp: i64) {
        let form = there(&id, timestamp);
        prop_assert_eq!(long(&form, timestamp), id);
    }

    #[test]
    fn ids_of_the_documented_shape_come_back(timestamp in 0_i64..1 << 42, low: u128) {
        let zero = format!("~{}", "A".repeat(22));
        // What `long` makes of any short form has the documented shape.
        let form = format!("~{}", base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD, low.to_be_bytes()));
        let id = long(&form, timestamp);
        prop_assert_eq!(id.len(), 56);
        prop_assert_eq!(there(&id, timestamp), form);
        prop_assert_eq!(there(&long(&zero, timestamp), timestamp), zero);
    }
}
