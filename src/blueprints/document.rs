//! The structure of a blueprint, version 1: what stands in its file, with tags that aren't resolved yet.

use std::sync::Arc;

use super::Refused;
use super::tags::is_tag;
use super::yaml::{self, Content, Node};

/// A blueprint.
#[derive(Debug)]
pub struct Blueprint {
    /// What `!Context` finds unless whoever imports the file says otherwise.
    pub context: Option<Arc<Node>>,
    /// What there shall be, in order.
    pub entries: Vec<Entry>,
}

/// An entry: an object, and what shall become of it.
#[derive(Debug)]
pub struct Entry {
    /// The line where it begins, from 1.
    pub line: usize,
    /// Which model: `authentik_flows.flow`.
    pub model: Arc<Node>,
    /// Whether it shall be there; it shall, unless that is said.
    pub state: Option<Arc<Node>>,
    /// Only if all of these hold.
    pub conditions: Option<Arc<Node>>,
    /// By what it is found.
    pub identifiers: Option<Arc<Node>>,
    /// What its fields shall be.
    pub attrs: Option<Arc<Node>>,
    /// What `!KeyOf` calls it.
    pub id: Option<String>,
}

/// What shall become of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there, and its fields are these.
    Present,
    /// It is there; one that was before stays as it is.
    Created,
    /// It isn't there yet, and then it is.
    MustCreated,
    /// It isn't there.
    Absent,
}

impl State {
    /// The state of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "present" => Self::Present,
            "created" => Self::Created,
            "must_created" => Self::MustCreated,
            "absent" => Self::Absent,
            _ => return None,
        })
    }
}

impl Blueprint {
    /// Read a file.
    ///
    /// # Errors
    /// It isn't YAML, or no blueprint of version 1, or has a tag that isn't known.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let root = yaml::parse(text, is_tag)?;
        let fields = Fields::of(&root, "a blueprint", &["version", "metadata", "context", "entries"])?;
        match fields.last("version").as_deref() {
            Some(version) if version.text() != Some("1") => {
                return Err(Refused::at(version.line, "only version 1 is known"));
            }
            _ => {} // authentik takes it for granted
        }
        if let Some(metadata) = fields.last("metadata").filter(|metadata| !metadata.is_null()) {
            let name = Fields::of(&metadata, "metadata", &["name", "labels"])?.last("name");
            if name.is_none_or(|name| name.text().is_none()) {
                return Err(Refused::at(metadata.line, "metadata must have a name"));
            }
        }
        let context = fields.last("context").filter(|context| !context.is_null());
        let list = fields.last("entries").ok_or_else(|| Refused::at(root.line, "there are no entries"))?;
        Ok(Self { context, entries: entries(&list)? })
    }
}

/// A list of entries, or several by the names of sections.
fn entries(list: &Node) -> Result<Vec<Entry>, Refused> {
    match &list.content {
        Content::Sequence(items) => items.iter().map(|item| entry(item)).collect(),
        Content::Mapping(sections) => {
            let sections = sections.iter().map(|(_, section)| match &section.content {
                Content::Sequence(_) => entries(section),
                _ => Err(Refused::at(section.line, "a section must be a list of entries")),
            });
            Ok(sections.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Content::Scalar { .. } if list.is_null() => Ok(Vec::new()),
        Content::Scalar { .. } => Err(Refused::at(list.line, "entries must be a list")),
    }
}

fn entry(node: &Node) -> Result<Entry, Refused> {
    const KEYS: [&str; 7] = ["model", "state", "conditions", "identifiers", "attrs", "id", "permissions"];
    let fields = Fields::of(node, "an entry", &KEYS)?;
    let model = fields.last("model").ok_or_else(|| Refused::at(node.line, "an entry must have a model"))?;
    if let Some(permissions) = fields.last("permissions")
        && !permissions.is_null()
        && permissions.content != Content::Sequence(Vec::new())
    {
        return Err(Refused::at(permissions.line, "permissions of an entry are not supported"));
    }
    let id = match fields.last("id").filter(|id| !id.is_null()) {
        None => None,
        Some(id) => match id.text() {
            Some(text) => Some(text.to_owned()),
            None => return Err(Refused::at(id.line, "an id must be a text")),
        },
    };
    Ok(Entry {
        line: node.line,
        model,
        state: fields.last("state"),
        conditions: fields.last("conditions"),
        identifiers: fields.last("identifiers"),
        attrs: fields.last("attrs").filter(|attrs| !attrs.is_null()),
        id,
    })
}

/// The fields of a mapping that may have these and no others.
struct Fields(Vec<(String, Arc<Node>)>);

impl Fields {
    fn of(node: &Node, what: &str, known: &[&str]) -> Result<Self, Refused> {
        let (Content::Mapping(entries), None) = (&node.content, &node.tag) else {
            return Err(Refused::at(node.line, format!("{what} must be a mapping")));
        };
        let field = |(key, value): &(Arc<Node>, Arc<Node>)| match key.text() {
            Some(name) if known.contains(&name) => Ok((name.to_owned(), value.clone())),
            name => {
                let name = name.unwrap_or("such a key");
                Err(Refused::at(key.line, format!("{what} has no {name}")))
            }
        };
        entries.iter().map(field).collect::<Result<_, _>>().map(Self)
    }

    /// The last one of this name.
    fn last(&self, name: &str) -> Option<Arc<Node>> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, node)| node.clone())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn entries_may_stand_in_sections() {
        let text = "version: 1\nmetadata: {name: x, labels: {a: b}}\nentries:\n  one:\n  - model: a.b\n    permissions: []\n  \
                    two:\n  - {model: c.d, id: 5}\n";
        let blueprint = Blueprint::parse(text).unwrap();
        let shown: Vec<_> = blueprint
            .entries
            .iter()
            .map(|entry| (entry.line, entry.model.text().unwrap(), entry.id.as_deref()))
            .collect();
        assert_eq!(shown, [(5, "a.b", None), (8, "c.d", Some("5"))]);
    }

    #[rstest]
    #[case("version: 2\nentries: []\n", "line 1: only version 1 is known")]
    #[case("version: 1\n", "line 1: there are no entries")]
    #[case("entries: x\n", "line 1: entries must be a list")]
    #[case("metadata:\n  labels: {}\nentries: []\n", "line 2: metadata must have a name")]
    #[case("entries:\n- modell: a.b\n", "line 2: an entry has no modell")]
    #[case("entries:\n- id: a\n", "line 2: an entry must have a model")]
    #[case("entries:\n- a.b\n", "line 2: an entry must be a mapping")]
    #[case("entries: []\nmore: 1\n", "line 2: a blueprint has no more")]
    #[case(
        "entries:\n- model: a.b\n  permissions:\n  - permission: x\n",
        "line 4: permissions of an entry are not supported"
    )]
    #[case(
        "entries:\n- model: a.b\n  attrs:\n    x: [{y: !Nothing z}]\n",
        "line 4: the tag !Nothing is not known"
    )]
    #[case(
        "entries:\n- model: a.b\n  attrs: !!python/object:os.system x\n",
        "line 3: the tag !!python/object:os.system is not known"
    )]
    fn what_is_no_blueprint_is_refused_where_it_is_none(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(Blueprint::parse(text).unwrap_err().to_string(), expected);
    }
}
