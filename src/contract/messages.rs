//! The sentences that authentik has beside those of its framework, and our own where authentik has none.

use chrono::{DateTime, Utc};
use drf::time;

/// Not a duration such as `hours=3;minutes=1`.
pub fn invalid_timedelta(value: &str) -> String {
    format!("{value} is not in the correct format of 'hours=3;minutes=1'.")
}
/// A binding that is never evaluated.
pub const NEVER_EVALUATED: &str = "Either evaluation on plan or evaluation on run must be enabled";
/// The path of a user that starts or ends with a slash.
pub const SLASH_AROUND: &str = "No leading or trailing slashes allowed.";
/// The path of a user with `//` in it.
pub const EMPTY_SEGMENT: &str = "No empty segments in user path allowed.";
/// A new user of the type that authentik keeps for itself.
pub const NO_INTERNAL_SERVICE_ACCOUNT: &str = "Setting a user to internal service account is not allowed.";
/// Another type for a user of the type that authentik keeps for itself.
pub const STAYS_INTERNAL_SERVICE_ACCOUNT: &str = "Can't change internal service account to other user type.";
/// Any change of a user of that type.
pub const INTERNAL_SERVICE_ACCOUNT: &str = "Can't modify internal service account users";
/// A file name that leads out of its directory.
pub const PARENT_DIRECTORY: &str = "Parent directory references ('..') are not allowed";
/// A file name from the root.
pub const ABSOLUTE_PATH: &str = "Absolute paths are not allowed";
/// A file name with an empty directory.
pub const DOUBLE_SLASH: &str = "Double slashes are not allowed";
/// A file name with something else than `a-zA-Z0-9._/-`.
pub const INVALID_FILE_NAME: &str = "File name can only contain letters (a-z, A-Z), numbers (0-9), dots (.), hyphens (-), underscores (_), forward slashes (/), and the placeholder %(theme)s for theme-specific files";
/// A token of somebody else's.
pub const TOKEN_USER: &str = "User cannot be changed";
/// An app password that lives too long.
pub fn token_lifetime(latest: &DateTime<Utc>) -> String {
    format!("Token expires exceeds maximum lifetime ({} UTC).", time::python_str(latest))
}
/// Neither `api` nor `app_password`.
pub fn invalid_intent(intent: &str) -> String {
    format!("Invalid intent {intent}")
}
/// Only some may make a group of superusers, or unmake it.
pub fn superuser_status(status: bool) -> String {
    let status = if status { "True" } else { "False" };
    format!("User does not have permission to set superuser status to {status}.")
}
/// A membership, a group or a role that would give more than the caller holds.
pub const BEYOND_CALLER: &str = "User does not have all permissions that this would give.";
/// Fields of which a request names some and not all.
pub fn together(fields: &[&str]) -> String {
    format!("The fields {} must be used together.", fields.join(", "))
}
/// A permission on all objects without its app.
pub const GLOBAL_PERMISSION: &str =
    "When assigning global permissions, codename must be given as app_label.codename";
/// No permission has this name.
pub fn no_permission(value: &str) -> String {
    format!("There is no permission “{value}”.")
}
/// Only some may make tokens that never expire.
pub const UNENDING_TOKEN: &str = "User does not have permission to make tokens that never expire.";
/// Which part of authentik looks after an object is not a client's to say.
pub const MANAGED: &str = "Managed cannot be set";
/// Not one of the email templates.
pub fn invalid_template(value: &str) -> String {
    format!("Invalid template '{value}' specified.")
}
/// The row that this one refers to, or that refers to it, changed under the request.
pub const CHANGED_MEANWHILE: &str = "The object was changed by another request at the same time. Try again.";
/// What is there isn't what a conditional request goes by.
pub const OTHER_STATE: &str = "The object is not in the state that If-Match or If-None-Match asks for. Nothing was changed; read it again.";
/// Neither `*` nor a list of entity tags.
pub fn not_entity_tags(header: &str) -> String {
    format!("{header} is not a list of entity tags.")
}
/// The role that ak-stages has in the database lacks a privilege.
pub fn database_role(sentence: &str) -> String {
    format!("The database role of ak-stages may not do this: {sentence}")
}
/// Something hangs on the object that can only be deleted through authentik.
pub fn in_use(table: &str) -> String {
    format!("The object is in use by rows of {table}, which only authentik can delete.")
}
/// Longer than an index of PostgreSQL can hold.
pub const TOO_LONG_FOR_INDEX: &str = "Ensure this object has no text that is too long to be indexed.";
/// The body is larger than we take (authentik has no such answer; Django's own limit is the figure).
pub const TOO_LARGE: &str = "Request body exceeded the limit of 2621440 bytes.";
/// A page, or an object with all that hangs on it, takes more than an answer may.
pub const ANSWER_TOO_LARGE: &str = "The answer would be too large. Ask for smaller pages with ?page_size=, or leave out what belongs to the objects with ?include_…=false.";
/// The rest of a body doesn't come.
pub const BODY_TIMEOUT: &str = "The request's body did not come in time.";
/// Something failed on our side.
pub const INTERNAL: &str = "Internal Server Error";
/// No database connection became free in time.
pub const OVERLOADED: &str = "The server is overloaded. Try again.";
/// An unknown or expired token, or one of an inactive user.
pub const INVALID_TOKEN: &str = "Token invalid/expired";
/// A session of somebody who impersonates somebody else.
pub const SESSION_IMPERSONATES: &str =
    "This session impersonates another user. ak-stages can't tell whom, so it doesn't take it.";
/// A session with data that aren't as authentik writes them.
pub const SESSION_NOT_UNDERSTOOD: &str =
    "ak-stages can't read the data of this session, so it doesn't take it.";
/// A session that may be bound to the address that it was last used from.
pub const SESSION_ELSEWHERE: &str =
    "This session was last used from another network address, and sessions are bound to theirs.";
/// A mail to nobody; under the key `error`, as the next.
pub const NO_ADDRESSES: &str = "No email addresses provided";
/// A mail about an invitation that leads nowhere.
pub const NO_FLOW: &str = "Invitation has no associated flow";
/// A mail about an invitation that has ended.
pub const EXPIRED: &str = "Invitation has expired";
/// A use of an invitation for a flow that it isn't for.
pub const OTHER_FLOW: &str = "Invitation is for another flow";
/// A use beyond the last.
pub const USED_UP: &str = "Invitation has been used as often as it may be";
/// A use while all that are left are kept for others.
pub const RESERVED: &str = "Invitation is reserved";
/// Not an address that mail can be sent to.
pub fn invalid_address(value: &str) -> String {
    format!("“{value}” is not a valid email address.")
}
/// More addresses than a request may name.
pub fn too_many_addresses(most: usize) -> String {
    format!("Ensure this request has no more than {most} addresses.")
}
/// An address that had enough mails for a day.
pub fn too_many_to(address: &str, most: u32) -> String {
    format!("“{address}” gets no more than {most} mails within a day.")
}
/// A user who sent enough mails for a day; under the key `error`.
pub fn too_many_of(most: u32) -> String {
    format!("A user sends no more than {most} mails within a day")
}
/// No template has this name; those that there are.
pub fn unknown_template(value: &str, known: &[&str]) -> String {
    format!("There is no template “{value}”. There are: {}.", known.join(", "))
}
/// A template that can't be rendered, with the reason.
pub fn broken_template(value: &str, reason: &str) -> String {
    format!("The template “{value}” can't be used: {reason}.")
}
/// A line break, or the like, in a text of one line.
pub const CONTROL_CHARACTERS: &str = "Control characters are not allowed.";
/// A message that waits or was sent isn't sent again.
pub const NOT_FAILED: &str = "Only a message that failed or is dead can be tried again";
/// An SMTP server that email stages may not name.
pub fn host_not_allowed(host: &str, port: u16) -> String {
    format!("Mail may not go through “{host}:{port}”: AUTHENTIK_STAGES__EMAIL_HOSTS does not name it.")
}
/// STARTTLS, and TLS from the first byte.
pub const TLS_TWICE: &str = "“use_tls” and “use_ssl” can't both be true.";
/// A number that no port has.
pub const NOT_A_PORT: &str = "Ensure this value is a port, from 0 to 65535.";
/// Links need a place to lead to.
pub const NO_PUBLIC_URL: &str =
    "No mail is sent here: AUTHENTIK_STAGES__PUBLIC_URL, where the links lead to, is not set.";
/// The tables of our own beside authentik's.
pub const NO_EXTENSIONS: &str =
    "The database lacks the tables for mail. `ak-stages extensions` prints the SQL that makes them.";
/// The table of our own for idempotency keys.
pub const NO_IDEMPOTENCY: &str =
    "The database lacks the table for idempotency keys. `ak-stages extensions` prints the SQL that makes it.";
/// An `Idempotency-Key` that isn't one.
pub const NOT_A_KEY: &str = "Idempotency-Key has to be one of 1 to 255 visible ASCII characters.";
/// The first request with an `Idempotency-Key` isn't answered yet.
pub const KEY_IN_USE: &str = "A request with this Idempotency-Key is being served. Try again.";
/// The same `Idempotency-Key` on another request.
pub const KEY_REUSED: &str = "This Idempotency-Key was used for another request.";
/// A parameter that says whether.
pub const TRUE_OR_FALSE: &str = "Must be true or false.";
/// A bulk request that doesn't say what to make, or says it twice.
pub const NO_INVITATIONS: &str =
    "Name either “invitations”, or a “template” with “names”, or a “template” with a “count”.";
/// A bulk deletion that doesn't say of what, or says it twice.
pub const NO_SELECTION: &str = "Name either “pks”, or filters of the list in the query.";
/// A parameter that lists would ignore, where to ignore it would delete more.
pub const NO_SUCH_FILTER: &str = "There is no such filter.";
/// The same, without a value.
pub const EMPTY_FILTER: &str = "This filter has no value.";
/// A list that needs an entry.
pub const EMPTY_LIST: &str = "This list may not be empty.";
/// More than a template may be repeated, in bytes.
pub fn too_much_repeated(most: usize) -> String {
    format!("Ensure the fixed data of all invitations take no more than {most} bytes.")
}
/// The tables of our own beside authentik's, of invitations.
pub const NO_INVITATION_TABLES: &str = "The database lacks the tables for this. `ak-stages extensions` prints the SQL that makes them; then restart ak-stages.";
/// A path of authentik's that isn't served here.
pub const NOT_SERVED: &str = "ak-stages does not serve this part of authentik's API.";
/// The database can't be reached.
pub const DISCONNECTED: &str = "The database is out of reach. Try again.";
/// Another session of the database has locked what a request needs.
pub const LOCKED: &str =
    "Another session of the database has locked what this takes. Nothing was changed; try again.";
/// The database takes no writes.
pub const READ_ONLY: &str = "The database is read-only at the moment. Nothing was changed; try again later.";
/// The database has no disk space, memory or connection left, or its system fails.
pub const OUT_OF_RESOURCES: &str = "The database is out of disk space, memory or connections, or its disk fails. Nothing was changed; try again later.";
/// The database was asked to commit and didn't answer.
pub const OUTCOME_UNKNOWN: &str =
    "The database did not say whether it stored this. Look whether it did before you send it again.";
