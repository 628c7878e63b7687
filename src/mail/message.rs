//! A message as it goes over the wire: its envelope, its headers, its parts.

use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailboxes, Message as Built, MessageBuilder, MultiPart};
use uuid::Uuid;

use super::Mailbox;
use super::outbox::Claimed;
use super::template::Parts;

/// A message that can be sent.
#[derive(Debug)]
pub struct Message {
    /// Who sends it, and who gets it.
    pub envelope: Envelope,
    /// Headers and body.
    pub bytes: Vec<u8>,
}

impl Message {
    /// The message to one recipient. Whoever is written to sees themselves in `To` and who gets a copy in `Cc`; those
    /// who get a copy see everybody who was written to. Nobody sees who gets a blind copy. Its `Message-ID` is the same
    /// each time that it is sent.
    ///
    /// # Errors
    /// What was stored isn't an address, in a sentence.
    pub fn of(claimed: &Claimed) -> Result<Self, String> {
        let read = |text: &String| Mailbox::read(text).ok_or_else(|| format!("{text} is no address."));
        let (sender, recipient) = (read(&claimed.sender)?, read(&claimed.address)?);
        let written_to = match claimed.kind.as_str() {
            "to" => std::slice::from_ref(&claimed.address),
            _ => &claimed.to_addresses,
        };
        let all = |texts: &[String]| -> Result<Mailboxes, String> {
            texts.iter().try_fold(Mailboxes::new(), |all, text| Ok(all.with(read(text)?.written())))
        };
        let mut builder = begun(&sender, claimed.message_uuid, claimed.created, &claimed.subject)
            .mailbox(lettre::message::header::To::from(all(written_to)?));
        if !claimed.cc_addresses.is_empty() {
            builder = builder.mailbox(lettre::message::header::Cc::from(all(&claimed.cc_addresses)?));
        }
        if !claimed.reply_to.is_empty() {
            builder = builder.reply_to(read(&claimed.reply_to)?.written());
        }
        let envelope = Envelope::new(Some(sender.address().clone()), vec![recipient.address().clone()]);
        Self::finish(
            builder.envelope(envelope.map_err(|error| error.to_string())?),
            &claimed.plain,
            &claimed.html,
        )
    }

    /// A mail that tests an SMTP server.
    ///
    /// # Errors
    /// It can't be built, in a sentence.
    pub fn test(
        sender: &Mailbox,
        recipient: &Mailbox,
        key: Uuid,
        created: DateTime<Utc>,
        parts: &Parts,
    ) -> Result<Self, String> {
        let builder = begun(sender, key, created, &parts.subject).to(recipient.written());
        Self::finish(builder, &parts.plain, &parts.html)
    }

    fn finish(builder: MessageBuilder, plain: &str, html: &str) -> Result<Self, String> {
        let parts = MultiPart::alternative_plain_html(plain.to_owned(), html.to_owned());
        let built = builder.multipart(parts).map_err(|error| error.to_string())?;
        Ok(Self { envelope: built.envelope().clone(), bytes: built.formatted() })
    }
}

/// What every message begins with.
fn begun(sender: &Mailbox, key: Uuid, created: DateTime<Utc>, subject: &str) -> MessageBuilder {
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    Built::builder()
        .from(sender.written())
        .message_id(Some(format!("<{key}@{}>", sender.address().domain())))
        .date(created.into())
        .subject(subject)
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(kind: &str, address: &str) -> Claimed {
        Claimed {
            message_uuid: Uuid::from_u128(1),
            attempts: 1,
            kind: kind.to_owned(),
            address: address.to_owned(),
            invitation: Uuid::from_u128(2),
            created: "2026-03-04T05:06:07Z".parse().unwrap(),
            sender: "Jörg <id@example.com>".to_owned(),
            reply_to: "help@example.com".to_owned(),
            to_addresses: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
            cc_addresses: vec!["c@example.org".to_owned()],
            subject: "Grüße".to_owned(),
            html: "<p>ü</p>".to_owned(),
            plain: "ü\n".to_owned(),
            stage: None,
            usable: true,
        }
    }

    fn head(kind: &str, address: &str) -> String {
        let message = Message::of(&claimed(kind, address)).unwrap();
        let text = String::from_utf8(message.bytes).unwrap();
        assert!(text.is_ascii(), "{text}");
        text.split("\r\n\r\n").next().unwrap().to_owned()
    }

    #[test]
    fn each_sees_what_concerns_them() {
        let to = head("to", "a@example.org");
        assert!(to.contains("\r\nTo: a@example.org\r\n"), "{to}");
        assert!(to.contains("\r\nCc: c@example.org\r\n") && !to.contains("b@example.org"), "{to}");
        for (kind, address) in [("cc", "c@example.org"), ("bcc", "d@example.org")] {
            let copy = head(kind, address);
            assert!(copy.contains("\r\nTo: a@example.org, b@example.org\r\n"), "{copy}");
            assert!(!copy.contains("d@example.org") && !copy.contains("Bcc"), "{copy}");
        }
    }

    #[test]
    fn what_is_no_ascii_is_encoded_and_the_id_stays() {
        let head = head("to", "a@example.org");
        assert!(head.contains("From: =?utf-8?b?SsO2cmc=?= <id@example.com>\r\n"), "{head}");
        assert!(head.contains("Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"), "{head}");
        assert!(
            head.contains("Message-ID: <00000000-0000-0000-0000-000000000001@example.com>\r\n"),
            "{head}"
        );
        assert!(head.contains("Date: Wed, 04 Mar 2026 05:06:07 +0000\r\n"), "{head}");
        assert!(head.contains("Reply-To: help@example.com\r\n"), "{head}");
        assert!(!head.contains(&Uuid::from_u128(2).to_string()), "{head}");
    }

    #[test]
    fn what_is_no_address_is_told() {
        assert_eq!(Message::of(&claimed("to", "nobody")).unwrap_err(), "nobody is no address.");
    }
}
