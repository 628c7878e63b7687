//! Pages: their size, their number, and the arithmetic in `pagination`.

use serde_json::{Value, json};

use crate::support::{INVITATION, INVITATION_STAGE, TestApp};

const ROWS: i32 = 105;

fn pagination(next: i32, previous: i32, current: i32, total_pages: i32, indexes: (i32, i32)) -> Value {
    json!({
        "next": next, "previous": previous, "count": ROWS, "current": current, "total_pages": total_pages,
        "start_index": indexes.0, "end_index": indexes.1,
    })
}

#[tokio::test]
async fn a_page_says_where_it_stands() {
    let app = TestApp::new().await;
    app.invitation_stages(ROWS).await;
    for (query, expected) in [
        ("", pagination(2, 0, 1, 6, (1, 20))),
        ("page=&page_size=", pagination(2, 0, 1, 6, (1, 20))),
        ("page=2", pagination(3, 1, 2, 6, (21, 40))),
        ("page=6", pagination(0, 5, 6, 6, (101, 105))),
        ("page=last", pagination(0, 5, 6, 6, (101, 105))),
        ("page=1&page=3", pagination(4, 2, 3, 6, (41, 60))),
        ("page=%20%2b2%20&page_size=1_0", pagination(3, 1, 2, 11, (11, 20))),
        ("page_size=1&page=105", pagination(0, 104, 105, 105, (105, 105))),
        ("page_size=35&page=3", pagination(0, 2, 3, 3, (71, 105))),
        ("page_size=100", pagination(2, 0, 1, 2, (1, 100))),
        ("page_size=101", pagination(2, 0, 1, 2, (1, 100))),
        ("page_size=99999999999999999999999999", pagination(2, 0, 1, 2, (1, 100))),
        ("page_size=0", pagination(2, 0, 1, 6, (1, 20))),
        ("page_size=-5", pagination(2, 0, 1, 6, (1, 20))),
        ("page_size=many", pagination(2, 0, 1, 6, (1, 20))),
    ] {
        let list = app.admin().get(&format!("{INVITATION_STAGE}?{query}")).await.status(200);
        assert_eq!(list.json()["pagination"], expected, "{query}");
        let number = |key: &str| expected[key].as_i64().unwrap();
        let expected = (number("start_index")..=number("end_index")).map(|n| json!(format!("stage {n:03}")));
        assert_eq!(list.column("name"), expected.collect::<Vec<_>>(), "{query}");
    }
}

#[tokio::test]
async fn the_envelope_has_its_keys_in_order() {
    let app = TestApp::new().await;
    let list = app.admin().get(INVITATION_STAGE).await.json();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&list), ["pagination", "results", "autocomplete"]);
    let numbers = ["next", "previous", "count", "current", "total_pages", "start_index", "end_index"];
    assert_eq!(keys(&list["pagination"]), numbers);
    assert_eq!(list["autocomplete"], json!({}));
}

#[tokio::test]
async fn a_page_that_is_not_there_is_not_found() {
    let app = TestApp::new().await;
    app.invitation_stages(ROWS).await;
    for page in ["7", "0", "-1", "1.0", "abc", "LAST", "99999999999999999999999999999999999999999999"] {
        let answer = app.admin().get(&format!("{INVITATION_STAGE}?page={page}")).await;
        answer.is(404, json!({ "detail": "Invalid page." }));
    }
}

#[tokio::test]
async fn an_empty_list_has_one_empty_page() {
    let app = TestApp::new().await;
    for query in ["", "?page=1", "?page=last"] {
        let list = app.admin().get(&format!("{INVITATION_STAGE}{query}")).await.status(200).json();
        let empty = json!({
            "next": 0, "previous": 0, "count": 0, "current": 1, "total_pages": 1, "start_index": 0, "end_index": 0,
        });
        assert_eq!((&list["pagination"], &list["results"]), (&empty, &json!([])));
    }
    app.admin().get(&format!("{INVITATION_STAGE}?page=2")).await.status(404);
}

#[tokio::test]
async fn pages_count_what_filters_and_search_leave() {
    let app = TestApp::new().await;
    app.invitation_stages(ROWS).await;
    let list = app.admin().get(&format!("{INVITATION_STAGE}?search=stage%2010&page_size=4&page=2")).await;
    assert_eq!(list.json()["pagination"]["count"], 7);
    assert_eq!(list.column("name"), ["stage 103", "stage 104", "stage 105"]);
}

/// Where all sort keys are equal, the primary key decides, so that no row is on two pages or on none.
#[tokio::test]
async fn equal_rows_are_in_the_order_of_their_keys() {
    let app = TestApp::new().await;
    app.equal_invitations(50).await;
    for ordering in ["", "single_use", "-single_use", "-expires"] {
        let mut seen = Vec::new();
        for page in 1..=8 {
            let path = format!("{INVITATION}?ordering={ordering}&page_size=7&page={page}");
            seen.extend(app.admin().get(&path).await.status(200).column("pk"));
        }
        let keys: Vec<_> = seen.iter().map(|pk| pk.as_str().unwrap()).collect();
        assert_eq!(keys.len(), 50, "{ordering}");
        assert!(keys.is_sorted_by(|one, next| one < next), "{ordering} {keys:?}");
    }
}

#[tokio::test]
async fn the_later_of_several_orderings_decides_between_equals() {
    let app = TestApp::new().await;
    for (name, flag) in [("a", true), ("b", false), ("c", true)] {
        let body = json!({ "name": name, "continue_flow_without_invitation": flag });
        app.admin().post(INVITATION_STAGE, body).await.status(201);
    }
    let names = async |ordering: &str| {
        app.admin().get(&format!("{INVITATION_STAGE}?ordering={ordering}")).await.status(200).column("name")
    };
    assert_eq!(names("continue_flow_without_invitation,-name").await, ["b", "c", "a"]);
    assert_eq!(names("%20-continue_flow_without_invitation%20,,nonsense,name").await, ["a", "c", "b"]);
    assert_eq!(names("--name").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn stages_in_no_flow_can_be_listed() {
    let app = TestApp::new().await;
    let (free, bound) = (
        app.admin().create(INVITATION_STAGE, "free").await,
        app.admin().create(INVITATION_STAGE, "bound").await,
    );
    let flow = app.flow("a-flow").await;
    for order in [0, 10] {
        app.bind(flow, &bound, order).await;
    }
    for (value, expected) in
        [("true", vec![free.clone()]), ("false", vec![bound.clone()]), ("maybe", vec![bound, free])]
    {
        let list = app.admin().get(&format!("{INVITATION_STAGE}?no_flows={value}")).await.status(200);
        assert_eq!(json!(list.column("pk")), json!(expected), "no_flows={value}");
        assert_eq!(list.json()["pagination"]["count"], expected.len());
    }
}
