//! [`Source`]: the variables as they are set, and how each is read.

use std::net::SocketAddr;

use super::SETTINGS;

/// Where settings come from, by name.
pub(super) struct Source<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

impl Source<'_> {
    /// The value that was set. As in authentik, `file:///path` stands for the content of that file and `env://NAME`
    /// for another variable.
    pub(super) fn given(&self, name: &str) -> anyhow::Result<Option<String>> {
        let Some(value) = (self.0)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        if let Some(path) = value.strip_prefix("file://") {
            let content = std::fs::read_to_string(path)
                .map_err(|error| anyhow::anyhow!("{name}: cannot read the file that it names: {error}"))?;
            return Ok(Some(content.trim_end_matches(['\r', '\n']).to_owned()));
        }
        Ok(match value.strip_prefix("env://") {
            Some(other) => (self.0)(other),
            None => Some(value),
        })
    }

    pub(super) fn text(&self, name: &str) -> anyhow::Result<String> {
        let default =
            SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.default);
        Ok(self.given(name)?.unwrap_or_else(|| default.to_owned()))
    }

    pub(super) fn number(&self, name: &str, least: usize, most: usize) -> anyhow::Result<usize> {
        self.parse(name, &format!("a number from {least} to {most}"), |text| {
            text.parse().ok().filter(|number| (least..=most).contains(number))
        })
    }

    pub(super) fn boolean(&self, name: &str) -> anyhow::Result<bool> {
        self.parse(name, "true or false", |text| text.to_ascii_lowercase().parse().ok())
    }

    pub(super) fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        self.parse(name, "an address and a port, such as 127.0.0.1:9000", |text| text.parse().ok())
    }

    pub(super) fn parse<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        parse(&self.text(name)?).ok_or_else(|| anyhow::anyhow!("{name}: must be {expected}"))
    }
}
