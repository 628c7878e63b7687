//! Input that nobody should send: it is refused with a sentence, and nothing is written.

use std::collections::BTreeMap;

use drf::action::{Method, Route};
use drf::field::{Field, FieldKind, Key};
use drf::params::FilterKind;

use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{
    Answer, Declared, EMAIL, INVITATION, INVITATION_STAGE, JSON, TestApp, USER_WRITE, as_parameter, declared,
    flow_set_entry, is_text,
};

/// The resources that take a body.
fn writable() -> Vec<Declared> {
    declared().into_iter().filter(|resource| resource.does(Method::Post, Route::LIST)).collect()
}

/// A server with an object of every resource.
struct Everywhere {
    app: TestApp,
    objects: Vec<(&'static str, String)>,
    contents: BTreeMap<String, String>,
}

impl Everywhere {
    async fn new() -> Self {
        let (app, mut objects) = (TestApp::new().await, Vec::new());
        for resource in writable() {
            let row = app.row(&resource, app.fresh()).await;
            objects.push((resource.path, resource.path_of(&row)));
        }
        let contents = app.contents().await;
        Self { app, objects, contents }
    }

    /// The answers to this body, sent with POST, PUT and PATCH. Nothing may have been written.
    async fn send(&self, headers: &[(&str, &str)], body: &[u8]) -> Vec<Answer> {
        let (admin, mut answers) = (self.app.admin(), Vec::new());
        for (list, object) in &self.objects {
            for (method, path) in [("POST", *list), ("PUT", object), ("PATCH", object)] {
                answers.push(admin.send(method, path, headers, body.to_owned()).await);
            }
        }
        assert_eq!(self.app.contents().await, self.contents, "{}", String::from_utf8_lossy(body));
        answers
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let everywhere = Everywhere::new().await;
    let bodies: [(&str, &[u8]); 15] = [
        ("unfinished", b"{\"name\": \"x\""),
        ("a trailing comma", b"{\"name\": \"x\",}"),
        ("Python", b"{'name': 'x'}"),
        ("no number", b"{\"name\": \"x\", \"port\": NaN}"),
        ("infinity", b"{\"name\": \"x\", \"port\": Infinity}"),
        ("beyond a double", b"{\"name\": \"x\", \"port\": 1e999}"),
        ("two documents", b"{} {}"),
        ("a form", b"name=x"),
        ("no UTF-8", b"{\"name\": \"\xff\xfe\"}"),
        ("a surrogate in UTF-8", b"{\"name\": \"\xed\xa0\x80\"}"),
        ("an escaped lone surrogate", b"{\"name\": \"\\ud800\"}"),
        ("UTF-16", b"\xff\xfe{\0}\0"),
        ("a byte order mark", b"\xef\xbb\xbf{}"),
        ("a raw control character", b"{\"name\": \"a\nb\"}"),
        ("blanks", b" \n "),
    ];
    for (what, body) in bodies {
        for answer in everywhere.send(&JSON, body).await {
            assert_parse_error(&answer, what);
        }
    }
}

#[tokio::test]
async fn a_body_nested_too_deep_is_refused() {
    let everywhere = Everywhere::new().await;
    for (levels, open, close) in [
        (1025, "[", "]"),
        (1025, "{\"a\":", "}"),
        (100_000, "[", "]"),
        (100_000, "{\"a\":", "}"),
        (100_000, "[", ""),
    ] {
        let body = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        for answer in everywhere.send(&JSON, body.as_bytes()).await {
            assert_parse_error(&answer, open);
            assert!(
                answer.json()["detail"].as_str().unwrap().contains("recursion depth exceeded"),
                "{answer}"
            );
        }
    }
}

#[track_caller]
fn assert_parse_error(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {answer}");
    let body = answer.json();
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("JSON parse error - "), "{what}: {answer}");
}

#[tokio::test]
async fn the_deepest_body_that_is_taken_can_be_read_back() {
    let app = TestApp::new().await;
    // The body and `fixed_data` are two of the 1024 levels.
    let nested = (0..1022).fold(json!(1), |inner, _| json!([inner]));
    let body = json!({ "name": "deep", "fixed_data": { "nested": nested } });
    let pk = app.admin().post(INVITATION, body).await.status(201).pk();
    let read = app.admin().get(&format!("{INVITATION}{pk}/")).await.status(200).json();
    assert_eq!(read["fixed_data"]["nested"], nested);
    assert_eq!(app.admin().get(INVITATION).await.status(200).rows(), [read]);
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let everywhere = Everywhere::new().await;
    for (body, sentence) in [
        ("[]", "Invalid data. Expected a dictionary, but got list."),
        ("\"x\"", "Invalid data. Expected a dictionary, but got str."),
        ("5", "Invalid data. Expected a dictionary, but got int."),
        ("0.5", "Invalid data. Expected a dictionary, but got float."),
        ("true", "Invalid data. Expected a dictionary, but got bool."),
        ("null", "No data provided"),
    ] {
        for answer in everywhere.send(&JSON, body.as_bytes()).await {
            answer.is(400, json!({ "non_field_errors": [sentence] }));
        }
    }
}

#[tokio::test]
async fn another_media_type_is_refused() {
    let everywhere = Everywhere::new().await;
    for media_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.api+json",
        "application/json-patch+json",
        "nonsense",
        "",
    ] {
        let refused = json!({ "detail": format!("Unsupported media type \"{media_type}\" in request.") });
        for answer in everywhere.send(&[("content-type", media_type)], b"{}").await {
            answer.is(415, refused.clone());
        }
    }
    for answer in everywhere.send(&[], b"{}").await {
        answer.is(415, json!({ "detail": "Unsupported media type \"\" in request." }));
    }
}

#[tokio::test]
async fn ten_megabytes_are_refused() {
    let body = json!({ "name": "x".repeat(10 << 20) }).to_string();
    for answer in Everywhere::new().await.send(&JSON, body.as_bytes()).await {
        answer.is(413, json!({ "detail": "Request body exceeded the limit of 2621440 bytes." }));
    }
}

/// Values of other types than the field's.
fn wrong_values(kind: FieldKind) -> Vec<Value> {
    let (list, object, boolean) = (json!(["a"]), json!({ "a": 1 }), json!(true));
    match kind {
        FieldKind::Integer { .. } => {
            vec![json!(""), json!("x"), json!(2.5), json!("1e3"), boolean, list, object]
        }
        FieldKind::Boolean => vec![json!(""), json!("maybe"), json!(2), list, object],
        FieldKind::Choice(_) => vec![json!("no choice"), json!(5), boolean, list, object],
        FieldKind::DateTime => {
            vec![json!(""), json!("tomorrow"), json!("2030-02-30T00:00:00Z"), json!(5), boolean, list, object]
        }
        FieldKind::Dictionary => vec![json!(""), json!("{}"), json!(5), boolean, list],
        FieldKind::List | FieldKind::Texts => vec![json!("x"), json!(5), boolean, object],
        FieldKind::ForeignKey(target) if target.key == Key::Uuid => {
            vec![json!("x"), json!("0a0b0c0d-1111-4222-8333-0000abcdef01"), json!(5), boolean, list, object]
        }
        FieldKind::ForeignKey(_) => {
            vec![json!("x"), json!(2_000_000_000), json!(1e30), boolean, list, object]
        }
        FieldKind::Many(..) => {
            vec![json!("x"), json!(5), boolean, object, json!([true]), json!([["a"]]), list]
        }
        FieldKind::Nested { .. } => vec![json!("x"), json!(5), boolean, object, list],
        FieldKind::Text
        | FieldKind::Slug
        | FieldKind::Email
        | FieldKind::Uuid
        | FieldKind::Serial
        | FieldKind::Computed(_) => {
            vec![boolean, list, object]
        }
    }
}

#[tokio::test]
async fn a_value_of_another_type_is_refused() {
    let app = TestApp::new().await;
    for resource in writable() {
        let object = resource.path_of(&app.row(&resource, app.fresh()).await);
        let before = app.contents().await;
        for field in resource.writable() {
            for value in wrong_values(field.kind) {
                assert_field_error(&app, &object, field, &json!({ field.name: value })).await;
            }
        }
        assert_eq!(app.contents().await, before, "{}", resource.path);
    }
}

/// What DRF's fields say of a value that is no text. A model's `TextField` with a rule is a `CharField` to it; an
/// `EmailField` or `SlugField` has a sentence of its own, the same as for text that breaks its rule.
#[rstest]
#[case::text(EMAIL, "subject", "Not a valid string.")]
#[case::text_that_may_be_empty(EMAIL, "username", "Not a valid string.")]
#[case::duration(EMAIL, "token_expiry", "Not a valid string.")]
#[case::email(EMAIL, "from_address", "Enter a valid email address.")]
#[case::email_that_may_be_empty("/core/users/", "email", "Enter a valid email address.")]
#[case::text_with_the_rule_of_slugs("/flows/instances/", "slug", "Not a valid string.")]
#[case::text_with_the_rule_of_slugs(INVITATION, "name", "Not a valid string.")]
#[case::slug(
    "/core/tokens/",
    "identifier",
    "Enter a valid \"slug\" consisting of letters, numbers, underscores or hyphens."
)]
#[tokio::test]
async fn what_is_no_text_is_told_what_its_field_takes(
    #[case] path: &str,
    #[case] field: &str,
    #[case] sentence: &str,
) {
    let app = TestApp::new().await;
    let told = async |value: Value| {
        let answer = app.admin().post(path, json!({ field: value })).await.status(400);
        answer.json()[field].clone()
    };
    for value in [json!(true), json!(false), json!([]), json!(["a"]), json!({}), json!({ "a": 1 })] {
        assert_eq!(told(value.clone()).await, json!([sentence]), "{value}");
    }
    assert_eq!(told(Value::Null).await, json!(["This field may not be null."]));
}

#[rstest]
#[case("/flows/instances/", "slug", "“slug”")]
#[case(INVITATION, "name", "“slug”")]
#[case("/core/tokens/", "identifier", "\"slug\"")]
#[tokio::test]
async fn a_slug_has_no_other_characters(#[case] path: &str, #[case] field: &str, #[case] word: &str) {
    let app = TestApp::new().await;
    let sentence = format!("Enter a valid {word} consisting of letters, numbers, underscores or hyphens.");
    for value in [json!("a b"), json!("ä"), json!("a/b"), json!(1.5)] {
        let answer = app.admin().post(path, json!({ field: value })).await.status(400);
        assert_eq!(answer.json()[field], json!([sentence]), "{value}");
    }
}

/// Python's `fromisoformat` and Django's expression, with what they don't read and what Python reads by accident.
#[rstest]
#[case::a_week("2030-W01-3", Some("2030-01-02T00:00:00Z"))]
#[case::any_character_between("20300102x0304", Some("2030-01-02T03:04:00Z"))]
#[case::single_digits("2030-1-2 3:4 +02", Some("2030-01-02T01:04:00Z"))]
#[case::a_small_letter("2030-01-02T03:04:05z", None)]
#[case::single_digits_of_a_date_alone("2030-1-2", None)]
#[case::a_minus_sign_beyond_ascii("2030-01-02T03:04\u{2212}02:00", None)]
#[case::a_colon_for_the_decimal_point("2030-01-02T03:04:05:678", None)]
#[case::digits_of_another_script("203\u{660}-01-02T03:04:05", None)]
#[tokio::test]
async fn a_point_in_time_is_read_as_django_reads_it(#[case] given: &str, #[case] expected: Option<&str>) {
    let app = TestApp::new().await;
    let answer = app.admin().post(INVITATION, json!({ "name": "a", "expires": given })).await;
    match expected {
        Some(expected) => assert_eq!(answer.status(201).json()["expires"], expected),
        None => {
            assert_eq!(
                answer.status(400).json().as_object().unwrap().keys().collect::<Vec<_>>(),
                ["expires"]
            );
        }
    }
}

/// The body is wrong in this field, and only there.
async fn assert_field_error(app: &TestApp, object: &str, field: &Field, body: &Value) {
    let answer = app.admin().patch(object, body.clone()).await;
    let errors = answer.json();
    let names: Vec<_> = errors.as_object().unwrap().keys().collect();
    assert_eq!(answer.status, 400, "{body} {answer}");
    assert_eq!(names, [field.name], "{body} {answer}");
}

#[tokio::test]
async fn huge_numbers_are_refused() {
    let app = TestApp::new().await;
    let too_large = "Ensure this value is less than or equal to 2147483647.";
    let too_small = "Ensure this value is greater than or equal to -2147483648.";
    let body = |number: &str| format!(r#"{{"name": "a stage", "port": {number}}}"#);
    for (number, sentence) in [
        ("2147483648".to_owned(), too_large),
        (u64::MAX.to_string(), too_large),
        (i64::MIN.to_string(), too_small),
        // Beyond 64 bits a number is a fraction, to authentik's parser too.
        ("9".repeat(30), "A valid integer is required."),
        ("-1e300".to_owned(), "A valid integer is required."),
        (format!("\"{}\"", "9".repeat(1000)), too_large),
        (format!("\"{}\"", "9".repeat(1001)), "String value too large."),
    ] {
        let answer = app.admin().send("POST", EMAIL, &JSON, body(&number)).await;
        answer.is(400, json!({ "port": [sentence] }));
    }
}

#[tokio::test]
async fn a_nul_character_is_refused_in_every_text() {
    let app = TestApp::new().await;
    for resource in writable() {
        let object = resource.path_of(&app.row(&resource, app.fresh()).await);
        let before = app.contents().await;
        let refused = json!(["Null characters are not allowed."]);
        for field in resource.writable() {
            let values = match field.kind {
                FieldKind::Dictionary => vec![json!({ "a\0": 1 }), json!({ "a": [{ "b": "\0" }] })],
                _ if is_text(field) => vec![json!("a\0b"), json!("\0")],
                _ => continue,
            };
            for value in values {
                let answer = app.admin().patch(&object, json!({ field.name: value })).await;
                answer.is(400, json!({ field.name: refused }));
            }
        }
        assert_eq!(app.contents().await, before, "{}", resource.path);
        app.admin().get(&format!("{}?search=%00", resource.path)).await.is(400, refused.clone());
        for field in resource.fields.iter().filter(|field| field.filter && is_text(field)) {
            let answer = app.admin().get(&format!("{}?{}=a%00b", resource.path, field.name)).await;
            answer.is(400, json!({ field.name: refused }));
        }
    }
}

/// An entry of a B-tree has at most 2704 bytes, compressed; random text can't be compressed.
#[tokio::test]
async fn a_text_too_long_for_its_index_is_refused() {
    let app = TestApp::new().await;
    let long = Alphanumeric.sample_string(&mut StdRng::seed_from_u64(1), 5000);
    let beyond_ascii: String =
        StdRng::seed_from_u64(2).random_iter::<u16>().filter_map(letter).take(3000).collect();
    let stage = app.admin().create(EMAIL, "a stage").await;
    let before = app.contents().await;
    let refused =
        json!({ "non_field_errors": ["Ensure this object has no text that is too long to be indexed."] });
    for name in [&long, &beyond_ascii] {
        for path in [EMAIL, USER_WRITE, INVITATION_STAGE] {
            app.admin().post(path, json!({ "name": name })).await.is(400, refused.clone());
        }
        app.admin()
            .patch(&format!("{EMAIL}{stage}/"), json!({ "name": name }))
            .await
            .is(400, refused.clone());
        app.admin().get(&format!("{EMAIL}?name={}", as_parameter(&json!(name)))).await.status(200);
    }
    let body = json!({ "name": "another", "flow_set": [flow_set_entry(&long)] });
    app.admin().post(EMAIL, body).await.is(400, refused);
    assert_eq!(app.contents().await, before);
    // Names of invitations aren't indexed.
    app.admin().create(INVITATION, &long).await;
}

/// A letter of the CJK block.
fn letter(number: u16) -> Option<char> {
    char::from_u32(0x4e00 + u32::from(number) % 0x5000)
}

#[tokio::test]
async fn more_keys_than_a_statement_has_parameters_are_looked_up() {
    const MANY: u32 = 66_000;
    let app = TestApp::new().await;
    let mut checked = 0;
    for resource in writable() {
        let path = resource.path_of(&app.row(&resource, app.fresh()).await);
        for field in resource.writable() {
            let FieldKind::Many(target, _) = field.kind else { continue };
            let key = |n: u32| match target.key {
                Key::Integer => json!(1_000_000 + n),
                Key::Uuid => json!(uuid::Uuid::from_u128(n.into())),
            };
            let keys: Vec<Value> = (0..MANY).map(key).collect();
            let text = keys[0].as_str().map_or_else(|| keys[0].to_string(), str::to_owned);
            let sentence = format!("Invalid pk \"{text}\" - object does not exist.");
            let answer = app.admin().patch(&path, json!({ field.name: keys })).await;
            answer.is(400, json!({ field.name: [sentence] }));
            checked += 1;
        }
    }
    assert!(checked > 0, "no field takes several keys");
}

#[tokio::test]
async fn a_search_may_have_more_terms_than_a_statement_has_parameters() {
    let app = TestApp::new().await;
    app.admin().create(EMAIL, "a stage").await;
    let terms = "a,".repeat(32_000);
    let answer = app.admin().get(&format!("{EMAIL}?search={terms}")).await.status(200);
    assert_eq!(answer.rows().len(), 1);
    let answer = app.admin().get(&format!("{EMAIL}?search={terms}z")).await.status(200);
    assert_eq!(answer.rows().len(), 0);
}

#[tokio::test]
async fn unknown_and_read_only_keys_are_ignored() {
    let app = TestApp::new().await;
    let body = json!({
        "name": "a stage", "no_such_field": { "a": [1] }, "pk": "0a0b0c0d-1111-4222-8333-0000abcdef01",
        "component": "other", "verbose_name": 5, "meta_model_name": null,
    });
    let plain = app.admin().post(EMAIL, json!({ "name": "another stage" })).await.status(201).json();
    let mut stage = app.admin().post(EMAIL, body).await.status(201).json();
    for key in ["pk", "name"] {
        assert_ne!(stage[key], plain[key]);
        stage[key] = plain[key].clone();
    }
    assert_eq!(stage, plain);
}

#[tokio::test]
async fn the_last_of_equal_keys_counts() {
    let app = TestApp::new().await;
    let body = r#"{"name": "first", "port": "nonsense", "name": "last", "port": 26}"#;
    let stage = app.admin().send("POST", EMAIL, &JSON, body).await.status(201).json();
    assert_eq!((&stage["name"], &stage["port"]), (&json!("last"), &json!(26)));
}

#[tokio::test]
async fn a_key_that_cannot_be_one_is_not_found() {
    const KEYS: [&str; 8] = [
        "nope",
        "0a0b0c0d",
        "0a0b0c0d-1111-4222-8333-0000abcdef012",
        "0a0b0c0d-1111-4222-8333-0000abcdefgh",
        "%00",
        "%ff%fe",
        "'%20OR%20'1'='1",
        "%20",
    ];
    let app = TestApp::new().await;
    for path in [EMAIL, USER_WRITE, INVITATION_STAGE, INVITATION] {
        app.admin().create(path, &app.new_name()).await;
        for (key, method) in
            KEYS.iter().flat_map(|key| ["GET", "PUT", "DELETE", "OPTIONS"].map(|method| (key, method)))
        {
            let answer = app.admin().send(method, &format!("{path}{key}/"), &JSON, "{}").await;
            answer.is(404, json!({ "detail": "Not found." }));
        }
    }
}

#[rstest]
#[case::without_the_last_slash("/stages/email")]
#[case::with_a_dot("/stages/email/a.b/")]
#[case::with_a_slash("/stages/email/a%2Fb/")]
#[case::unknown("/stages/nope/")]
#[case::too_long("/stages/email/0a0b0c0d-1111-4222-8333-0000abcdef01/more/")]
#[case::with_an_empty_key("/stages/email//")]
#[case::with_an_empty_slug("/flows/instances//")]
#[case::with_the_uses_of_an_empty_key("/stages/email//used_by/")]
#[case::with_an_action_on_an_empty_key("/core/tokens//view_key/")]
#[case::with_an_empty_segment_before("/stages//email/")]
#[case::with_an_empty_segment_behind("/stages/email/templates//")]
#[case::with_two_empty_segments("/stages/email///")]
#[case::with_three_slashes_in_front("/api/v3///stages/email/")]
#[case::of_slashes_alone("/api/v3//")]
#[case::of_more_slashes("/api/v3///")]
#[tokio::test]
async fn a_path_of_no_route_is_an_html_page(#[case] path: &str) {
    let app = TestApp::new().await;
    app.admin().create(EMAIL, "a stage").await;
    for client in [app.admin(), app.anonymous()] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = client.send(method, path, &JSON, "{}").await.status(404);
            assert_eq!((answer.media_type(), answer.header("allow")), ("text/html", None), "{answer}");
        }
    }
}

#[rstest]
#[case::on_a_list(EMAIL, &["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PURGE", "get"],
    "GET, POST, HEAD, OPTIONS")]
#[case::on_an_object("/stages/email/0a0b0c0d-1111-4222-8333-0000abcdef01/", &["POST", "TRACE", "CONNECT", "PURGE", "get"],
    "GET, PUT, PATCH, DELETE, HEAD, OPTIONS")]
#[case::on_its_uses("/stages/email/0a0b0c0d-1111-4222-8333-0000abcdef01/used_by/", &["POST", "PUT", "DELETE"],
    "GET, HEAD, OPTIONS")]
#[case::on_templates("/stages/email/templates/", &["POST", "PUT", "PATCH", "DELETE"], "GET, HEAD, OPTIONS")]
#[tokio::test]
async fn another_method_is_not_allowed(#[case] path: &str, #[case] methods: &[&str], #[case] allow: &str) {
    let app = TestApp::new().await;
    for method in methods {
        let answer = app.admin().send(method, path, &JSON, "{}").await;
        answer.is(405, json!({ "detail": format!("Method \"{method}\" not allowed.") }));
        assert_eq!(answer.header("allow"), Some(allow), "{answer}");
    }
}

#[rstest]
#[case::html("text/html", 406)]
#[case::xml("application/xml, text/*", 406)]
#[case::nonsense("nonsense", 406)]
#[case::json("application/json", 200)]
#[case::json_among_others("text/html, application/json;q=0.5", 200)]
#[case::anything("*/*", 200)]
#[case::any_application("application/*", 200)]
#[tokio::test]
async fn an_accept_header_has_to_let_json_through(#[case] accept: &str, #[case] status: u16) {
    let app = TestApp::new().await;
    let answer = app.admin().send("GET", EMAIL, &[("accept", accept)], "").await.status(status);
    assert_eq!(answer.media_type(), "application/json");
    if status == 406 {
        answer.is(406, json!({ "detail": "Could not satisfy the request Accept header." }));
    }
}

#[tokio::test]
async fn a_format_that_is_not_json_is_not_found() {
    let app = TestApp::new().await;
    app.admin().get(&format!("{EMAIL}?format=json")).await.status(200);
    app.admin().get(&format!("{EMAIL}?format=xml")).await.is(404, json!({ "detail": "Not found." }));
}

#[tokio::test]
async fn a_filters_value_has_to_be_of_its_kind() {
    let app = TestApp::new().await;
    for resource in declared() {
        let fields = resource.fields.iter().filter(|field| field.filter);
        let filters = fields.map(|field| (field.name, FilterKind::of(field)));
        for (name, kind) in filters.chain(resource.filters.iter().map(|filter| (filter.name, filter.kind))) {
            let kind = if let FilterKind::Widened { kind, .. } = kind { *kind } else { kind };
            let sentence = match kind {
                FilterKind::Number => "Enter a number.",
                FilterKind::Uuid => "Enter a valid UUID.",
                FilterKind::DateTime => "Enter a valid date/time.",
                FilterKind::Choice(_) | FilterKind::Choices(_) | FilterKind::Texts(_) => {
                    "Select a valid choice. nonsense is not one of the available choices."
                }
                FilterKind::ForeignKey(target) if target.key == Key::Uuid => {
                    "“nonsense” is not a valid UUID."
                }
                FilterKind::Uuids(_) => "“nonsense” is not a valid UUID.",
                FilterKind::Numbers(_) => "“nonsense” is not a valid value.",
                _ => continue,
            };
            let answer = app.admin().get(&format!("{}?{name}=nonsense", resource.path)).await;
            answer.is(400, json!({ name: [sentence] }));
        }
    }
}
