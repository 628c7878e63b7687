//! Django's permissions: what there is to be allowed, and what an action asks for.

/// A Django model: the owner of four permissions and of the names in error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Such as `authentik_stages_email`.
    pub app_label: &'static str,
    /// The class, such as `EmailStage`.
    pub name: &'static str,
    /// The model's name in permissions and content types, such as `emailstage`.
    pub model: &'static str,
}

/// Django's four permissions on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `view_…`
    View,
    /// `add_…`
    Add,
    /// `change_…`
    Change,
    /// `delete_…`
    Delete,
}

impl Verb {
    /// All four, in Django's order.
    pub const ALL: [Self; 4] = [Self::Add, Self::Change, Self::Delete, Self::View];

    /// The first word of the codename.
    pub fn word(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Add => "add",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }
}

impl Model {
    /// Such as `view_emailstage`.
    pub fn codename(&self, verb: Verb) -> String {
        format!("{}_{}", verb.word(), self.model)
    }

    /// Such as `authentik_stages_email.view_emailstage`.
    pub fn permission(&self, verb: Verb) -> String {
        format!("{}.{}", self.app_label, self.codename(verb))
    }

    /// Such as `authentik_stages_email.emailstage`.
    pub fn label(&self) -> String {
        format!("{}.{}", self.app_label, self.model)
    }
}

/// Who may do an action. There is no default: an action without one does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Anybody; credentials aren't looked at.
    Open,
    /// Anybody, but those with wrong credentials.
    Public,
    /// Whoever has credentials.
    Authenticated,
    /// Whoever may view the object, or any object of a list: the look-up decides.
    View,
    /// Whoever has this permission on the model; of an action on one object, on the object.
    Model(Verb),
    /// The same with a permission beside Django's four, by its codename.
    Codename(&'static str),
    /// Whoever has both: one of Django's four, and another by its codename.
    Both(Verb, &'static str),
}

impl Permission {
    /// The codenames that are asked for, of an action that asks for some beside `view_`.
    pub fn codenames(self, model: &Model) -> Vec<String> {
        match self {
            Self::Open | Self::Public | Self::Authenticated | Self::View => Vec::new(),
            Self::Model(verb) => vec![model.codename(verb)],
            Self::Codename(codename) => vec![codename.to_owned()],
            Self::Both(verb, codename) => vec![model.codename(verb), codename.to_owned()],
        }
    }
}
