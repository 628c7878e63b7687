//! What a mail says: built-in templates in several languages, and the files of the template directory, rendered by
//! minijinja. A template reaches what it is given and nothing else, and what it does is bounded.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use minijinja::value::Serde;
use minijinja::{Environment, Error};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::plain_text;
use crate::config::Locale;
use crate::contract::{Release, templates};
use crate::email_templates::Sources;

/// Steps that a template may take: some hundred times as many as a built-in one.
const FUEL: u64 = 200_000;
/// Bytes that a part of a mail may have.
const MAX_PART: usize = 256 * 1024;

const LAYOUT: [(&str, &str); 2] = [
    ("layout.html", include_str!("../../assets/mail/layout.html")),
    ("layout.txt", include_str!("../../assets/mail/layout.txt")),
];

/// The name of a built-in template that authentik's document gives for one that a request doesn't name.
const SHORT_NAME: (&str, &str) = ("invitation", "email/invitation.html");

/// The words of a mail that tests an SMTP server. No release has a template of this name, so no request can ask for it.
const TEST: &str = "test";

/// One language of the built-in templates.
#[derive(Deserialize)]
struct Language {
    /// How a point in time is written, for `strftime`.
    date: String,
    /// The subject of mails that have none of their own.
    subject: String,
    /// Before a link that is spelled out.
    link: String,
    templates: BTreeMap<String, Words>,
}

/// What a built-in template says. Each text is a template itself.
#[derive(Deserialize, Serialize)]
struct Words {
    title: String,
    text: Vec<String>,
    button: String,
    end: Vec<String>,
}

/// What a mail is about.
pub struct Subject<'a> {
    /// The link.
    pub url: &'a str,
    /// When it ends.
    pub expires: Option<DateTime<Utc>>,
    /// The host that it leads to.
    pub host: &'a str,
    /// What else the template may use. It goes behind the others.
    pub context: Map<String, Value>,
}

/// What a mail says.
#[derive(Debug)]
pub struct Parts {
    /// The subject of a mail that has none of its own.
    pub subject: String,
    /// HTML
    pub html: String,
    /// Text
    pub plain: String,
}

/// Why there is no mail.
#[derive(Debug)]
pub enum Refused {
    /// No template has this name.
    Unknown,
    /// The template is wrong, with the reason.
    Broken(String),
}

/// The template that `name` stands for.
pub fn full_name(name: &str) -> &str {
    if name == SHORT_NAME.0 { SHORT_NAME.1 } else { name }
}

fn language(locale: Locale) -> Result<Language, Refused> {
    let text = match locale {
        Locale::English => include_str!("../../assets/mail/en.json"),
        Locale::German => include_str!("../../assets/mail/de.json"),
    };
    serde_json::from_str(text).map_err(|error| Refused::Broken(error.to_string()))
}

/// Render the template `name`: a file of the template directory if there is one of this name, else a built-in one of the
/// release. A file of the same name with the ending `.txt` is the text part; without one it is made of the HTML.
///
/// # Errors
/// There is no such template, or it is wrong.
pub fn render(
    name: &str,
    sources: &Sources,
    release: Release,
    locale: Locale,
    subject: Subject<'_>,
) -> Result<Parts, Refused> {
    let language = language(locale)?;
    let mut values = subject.context;
    values.insert("url".into(), json!(subject.url));
    values.insert("host".into(), json!(subject.host));
    let expires = subject.expires.map(|expires| expires.format(&language.date).to_string());
    values.insert("expires".into(), json!(expires));
    let environment = environment(sources);
    let invited = environment.render_named_str(
        "subject.txt",
        &language.subject,
        minijinja::Value::from(Serde(&values)),
    )?;
    let (html, plain) = if sources.get(name).is_some() {
        custom(&environment, name, sources, &values)?
    } else if templates::built_in(release).any(|(built_in, _)| built_in == name) {
        built_in(&environment, name, &language, locale.code(), values)?
    } else {
        return Err(Refused::Unknown);
    };
    if html.len() > MAX_PART || plain.len() > MAX_PART {
        return Err(Refused::Broken(format!("the mail has more than {MAX_PART} bytes")));
    }
    Ok(Parts { subject: invited, html, plain })
}

/// What a mail says that tests an SMTP server.
///
/// # Errors
/// The built-in words are wrong.
pub fn of_a_test(locale: Locale, host: &str) -> Result<Parts, Refused> {
    let language = language(locale)?;
    let subject = language.templates.get(TEST).ok_or(Refused::Unknown)?.title.clone();
    let values = Map::from_iter([("host".to_owned(), json!(host))]);
    let (html, plain) = built_in(&environment(&Sources::default()), TEST, &language, locale.code(), values)?;
    Ok(Parts { subject, html, plain })
}

/// What is wrong with the files of the template directory, a sentence each.
pub fn problems(sources: &Sources) -> Vec<String> {
    let environment = environment(sources);
    let broken = |name: &str| environment.get_template(name).err().map(|error| reason(&error));
    sources.names().filter_map(broken).collect()
}

fn environment(sources: &Sources) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    let sources = sources.clone();
    environment.set_loader(move |name| Ok(sources.get(name).map(str::to_owned)));
    environment
}

fn custom(
    environment: &Environment<'_>,
    name: &str,
    sources: &Sources,
    values: &Map<String, Value>,
) -> Result<(String, String), Refused> {
    let render = |name: &str| environment.get_template(name)?.render(minijinja::Value::from(Serde(values)));
    let html = render(name)?;
    let text = format!("{}.txt", name.trim_end_matches(".html"));
    let plain = if sources.get(&text).is_some() { render(&text)? } else { plain_text::of_html(&html) };
    Ok((html, plain))
}

fn built_in(
    environment: &Environment<'_>,
    name: &str,
    language: &Language,
    code: &str,
    mut values: Map<String, Value>,
) -> Result<(String, String), Refused> {
    let words = language.templates.get(name).ok_or(Refused::Unknown)?;
    let context = minijinja::Value::from(Serde(&values));
    // As text: the layout escapes what it puts into HTML.
    let say = |text: &String| environment.render_named_str("words.txt", text, &context);
    let say_all = |texts: &[String]| {
        let said: Result<Vec<_>, Error> = texts.iter().map(say).collect();
        said.map(|said| said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>())
    };
    let said = json!({
        "title": say(&words.title)?, "text": say_all(&words.text)?, "button": say(&words.button)?,
        "end": say_all(&words.end)?, "link": language.link,
    });
    values.insert("t".into(), said);
    values.insert("language".into(), json!(code));
    let context = minijinja::Value::from(Serde(&values));
    let [html, plain] = LAYOUT.map(|(name, source)| environment.render_named_str(name, source, &context));
    Ok((html?, plain?))
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Broken(reason(&error))
    }
}

/// What is wrong with a template, in one line.
fn reason(error: &Error) -> String {
    let place = match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!(" in line {line} of {name}"),
        _ => String::new(),
    };
    format!("{}{place}: {}", error.kind(), error.detail().unwrap_or("no details"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const HOST: &str = "id.example.com";
    const URL: &str = "https://id.example.com/if/flow/enroll/?itoken=k&a=b";

    fn rendered(
        name: &str,
        files: &[(&str, &str)],
        locale: Locale,
        context: Value,
    ) -> Result<Parts, Refused> {
        let Value::Object(context) = context else { panic!("no object") };
        let expires = Some("2030-04-05T06:07:08Z".parse().unwrap());
        let subject = Subject { url: URL, expires, host: HOST, context };
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        render(name, &Sources::of(files), Release::V2026_5, locale, subject)
    }

    #[rstest]
    fn every_built_in_template_speaks_every_language(
        #[values(Locale::English, Locale::German)] locale: Locale,
    ) {
        let context = json!({ "code": "123 456", "title": "It <happened>", "body": "so & so" });
        for (name, _) in templates::built_in(Release::V2026_5) {
            let parts = rendered(name, &[], locale, context.clone()).unwrap();
            for (part, text) in [("HTML", &parts.html), ("text", &parts.plain)] {
                assert!(!text.contains("{{") && !text.contains("{%"), "{name} {part}: {text}");
                assert!(!text.contains("\n\n\n"), "{name} {part}: {text}");
            }
            assert!(parts.html.starts_with("<!DOCTYPE html>"), "{name}");
            assert!(parts.html.contains(&format!("lang=\"{}\"", locale.code())), "{name}");
        }
    }

    #[rstest]
    fn a_test_mail_speaks_every_language_and_is_no_template(
        #[values(Locale::English, Locale::German)] locale: Locale,
    ) {
        let parts = of_a_test(locale, "<id>").unwrap();
        assert!(parts.plain.starts_with(&parts.subject) && parts.plain.contains("<id>"), "{}", parts.plain);
        assert!(parts.html.contains("&lt;id&gt;") && !parts.html.contains("href"), "{}", parts.html);
        let refused = rendered(TEST, &[], locale, json!({}));
        assert!(matches!(refused, Err(Refused::Unknown)), "{refused:?}");
    }

    #[test]
    fn an_invitation_has_its_link_and_its_end() {
        let parts = rendered("email/invitation.html", &[], Locale::English, json!({})).unwrap();
        assert!(parts.plain.contains(&format!("\n{URL}\n")), "{}", parts.plain);
        assert!(parts.plain.contains("until 2030-04-05 at 06:07 UTC."), "{}", parts.plain);
        let escaped =
            "href=\"https:&#x2f;&#x2f;id.example.com&#x2f;if&#x2f;flow&#x2f;enroll&#x2f;?itoken=k&amp;a=b\"";
        assert!(parts.html.contains(escaped), "{}", parts.html);
        let german = rendered("email/invitation.html", &[], Locale::German, json!({})).unwrap();
        assert!(german.plain.contains("bis 05.04.2030 um 06:07 Uhr (UTC)."), "{}", german.plain);
    }

    #[test]
    fn a_context_is_escaped_and_takes_nothing_over() {
        let context =
            json!({ "title": "<b>", "body": "<script>", "url": "https://evil.example", "host": "evil" });
        let parts = rendered("email/event_notification.html", &[], Locale::English, context).unwrap();
        assert!(parts.html.contains("&lt;b&gt;") && parts.html.contains("&lt;script&gt;"), "{}", parts.html);
        assert!(!parts.html.contains("<script>") && !parts.html.contains("evil"), "{}", parts.html);
        assert!(parts.plain.starts_with("<b>\n") && parts.plain.contains("<script>"), "{}", parts.plain);
    }

    #[test]
    fn a_context_is_no_template() {
        let context = json!({ "title": "{{ url }}", "body": "{% for x in y %}" });
        let parts = rendered("email/event_notification.html", &[], Locale::English, context).unwrap();
        assert!(parts.plain.starts_with("{{ url }}\n"), "{}", parts.plain);
    }

    #[test]
    fn files_go_before_built_in_ones_and_use_each_other() {
        let files = [
            ("base.html", "<p>{% block main %}{% endblock %}</p>"),
            (
                "email/invitation.html",
                "{% extends 'base.html' %}{% block main %}{{ url }} {{ who }}{% endblock %}",
            ),
            ("two.html", "<b>{{ host }}</b>"),
            ("two.txt", "{{ host }} & co"),
        ];
        let parts =
            rendered("email/invitation.html", &files, Locale::English, json!({ "who": "<A>" })).unwrap();
        assert!(parts.html.ends_with(" &lt;A&gt;</p>"), "{}", parts.html);
        assert_eq!(parts.plain, format!("{URL} <A>\n"));
        let parts = rendered("two.html", &files, Locale::English, json!({})).unwrap();
        assert_eq!(
            (parts.html.as_str(), parts.plain.as_str()),
            ("<b>id.example.com</b>", "id.example.com & co")
        );
    }

    #[rstest]
    #[case::of_django("{% load i18n %}")]
    #[case::endless("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}")]
    #[case::of_no_file("{% include '/etc/passwd' %}")]
    #[case::of_itself("{% include 'x.html' %}")]
    #[case::of_no_function("{{ open('/etc/passwd') }}")]
    fn a_template_that_is_wrong_says_why(#[case] source: &str) {
        let refused = rendered("x.html", &[("x.html", source)], Locale::English, json!({}));
        let Err(Refused::Broken(reason)) = refused else { panic!("{refused:?}") };
        assert!(!reason.contains("root:") && !reason.contains('\n'), "{reason}");
    }

    #[test]
    fn an_unknown_one_is_unknown() {
        let refused = rendered("nope.html", &[], Locale::English, json!({}));
        assert!(matches!(refused, Err(Refused::Unknown)), "{refused:?}");
        assert_eq!(full_name("invitation"), "email/invitation.html");
    }

    #[test]
    fn wrong_files_are_told() {
        let files = [("good.html", "{{ a }}"), ("bad.html", "\n{% load i18n %}")];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let problems = problems(&Sources::of(files.into_iter()));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("line 2 of bad.html"), "{problems:?}");
    }
}
