//! The text part of a mail whose template is HTML alone.

/// The text of an HTML document: without tags, styles and comments, a line for each block, and a link's address behind
/// its words.
pub fn of_html(html: &str) -> String {
    let (mut text, mut link, mut rest) = (String::new(), None, html);
    while let Some((before, tail)) = rest.split_once('<') {
        push(&mut text, before);
        if let Some(comment) = tail.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some((tag, tail)) = tail.split_once('>') else { return tidy(&text) };
        rest = tail;
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        match (name.to_ascii_lowercase().as_str(), tag.starts_with('/')) {
            (hidden @ ("style" | "script" | "title" | "head"), false) => rest = behind(rest, hidden),
            ("a", false) => link = attribute(tag, "href"),
            ("a", true) => {
                if let Some(address) = link.take().filter(|address| !text.ends_with(address.as_str())) {
                    text.extend([" (", &address, ")"]);
                }
            }
            ("p" | "div" | "table" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4", _) => text.push_str("\n\n"),
            ("br" | "tr" | "li", _) => text.push('\n'),
            ("td" | "th", _) => text.push(' '),
            _ => {}
        }
    }
    push(&mut text, rest);
    tidy(&text)
}

/// What follows the end of an element whose content isn't text.
fn behind<'a>(html: &'a str, name: &str) -> &'a str {
    let lower = html.to_ascii_lowercase();
    let end = lower.find(&format!("</{name}")).and_then(|at| Some(at + html[at..].find('>')? + 1));
    end.map_or("", |end| &html[end..])
}

/// The value of an attribute in quotes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}="))?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(unescaped(rest[1..].split(quote).next()?))
}

/// Add text, its white space as HTML takes it.
fn push(text: &mut String, html: &str) {
    for (index, word) in html.split_ascii_whitespace().enumerate() {
        let apart = index > 0 || html.starts_with(|c: char| c.is_ascii_whitespace());
        if apart && !text.ends_with(char::is_whitespace) {
            text.push(' ');
        }
        text.push_str(&unescaped(word));
    }
    let ends_apart = html.ends_with(|c: char| c.is_ascii_whitespace());
    if ends_apart && !text.is_empty() && !text.ends_with(char::is_whitespace) {
        text.push(' ');
    }
}

fn unescaped(text: &str) -> String {
    const NAMED: [(&str, &str); 8] = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&#x2f;", "/"),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"), // the last: it must not make one of the others
    ];
    NAMED.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

/// No blank at the end of a line, and no more than one empty line at a time.
fn tidy(text: &str) -> String {
    let mut tidy = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() && (tidy.is_empty() || tidy.ends_with("\n\n")) {
            continue;
        }
        tidy.push_str(line);
        tidy.push('\n');
    }
    tidy.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("<p>One</p><p>Two\n words</p>", "One\n\nTwo words\n")]
    #[case("<head><title>T</title></head><style>p { a: b }</style>x<!-- <b>no</b> -->y", "xy\n")]
    #[case(
        "<a href=\"https://example.com/?a=1&amp;b=2\">Go</a> on",
        "Go (https://example.com/?a=1&b=2) on\n"
    )]
    #[case("<a href='https://example.com'>https://example.com</a>", "https://example.com\n")]
    #[case("a &lt;b&gt; &amp;amp; c<br>d", "a <b> &amp; c\nd\n")]
    #[case("<ul><li>one<li>two</ul>", "one\ntwo\n")]
    #[case("<STYLE>x</STYLE>y <b", "y\n")]
    #[case("", "\n")]
    fn takes_the_text(#[case] html: &str, #[case] expected: &str) {
        assert_eq!(of_html(html), expected);
    }
}
