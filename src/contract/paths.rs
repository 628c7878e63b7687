//! Every path of authentik's API, so that one that isn't served here is told from one that isn't there.
//!
//! The list is the union of the paths in authentik's OpenAPI documents from 2025.12 to 2026.8. Each release of its npm
//! package has that document; for a newer one, add its paths:
//!
//! ```sh
//! tar -xOzf "$(npm pack --silent @goauthentik/api@2026.8.3)" package/schema.yml |
//!     sed -n 's|^  \(/.*\):$|\1|p' | LC_ALL=C sort -u - src/contract/paths.txt -o src/contract/paths.txt
//! ```

use percent_encoding::percent_decode_str;

/// The paths below `/api/v3`, one a line, sorted by byte. A parameter stands in braces and is a whole segment.
const TEMPLATES: &str = include_str!("paths.txt");

/// The paths that would be taken for a user's or a flow's key, were they not routed as what they are.
pub const LIKE_KEYS: [&str; 9] = [
    "/core/users/account_lockdown/",
    "/core/users/export/",
    "/core/users/impersonate_end/",
    "/core/users/paths/",
    "/core/users/service_account/",
    "/core/users/switch/",
    "/flows/instances/cache_clear/",
    "/flows/instances/cache_info/",
    "/flows/instances/import/",
];

/// All templates, such as `/core/users/{id}/set_password/`.
pub fn templates() -> impl Iterator<Item = &'static str> {
    TEMPLATES.lines()
}

/// Whether authentik's API has this path, which begins below `/api/v3` and is still percent-encoded.
pub fn is_known(path: &str) -> bool {
    templates().any(|template| fits(template, path))
}

fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let all_fit = template.split('/').all(|expected| match segments.next() {
        Some(segment) if expected.starts_with('{') => {
            is_parameter(&percent_decode_str(segment).decode_utf8_lossy())
        }
        Some(segment) => segment == expected,
        None => false,
    });
    all_fit && segments.next().is_none()
}

/// Whether a decoded segment can be a path's parameter. Django REST framework's routers take no dots, and Django decodes
/// a path before it looks for slashes.
pub fn is_parameter(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', '.'])
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_list_is_sorted_and_its_parameters_are_segments() {
        let list: Vec<_> = templates().collect();
        assert!(list.is_sorted_by(|a, b| a < b));
        for template in list {
            assert!(template.starts_with('/'), "{template}");
            let braces = template.split('/').filter(|segment| segment.contains(['{', '}']));
            for segment in braces {
                let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
                assert!(name.is_some_and(|name| !name.contains(['{', '}'])), "{template}");
            }
        }
    }

    #[rstest]
    #[case("/rbac/roles/", true)]
    #[case("/core/users/3/set_password/", true)]
    #[case("/core/users/%C3%A4/set_password/", true)]
    #[case("/core/users/%FF/set_password/", true)]
    #[case("/core/users//set_password/", false)]
    #[case("/core/users/a.b/set_password/", false)]
    #[case("/core/users/a%2Eb/set_password/", false)]
    #[case("/core/users/a%2Fb/set_password/", false)]
    #[case("/core/users/3/set_password", false)]
    #[case("/core/users/3/set_password//", false)]
    #[case("/core/users/3/set_password/more/", false)]
    #[case("/core/users/3/nope/", false)]
    #[case("/tasks/workers", true)]
    #[case("/rbac/roles", false)]
    #[case("/", false)]
    #[case("", false)]
    fn a_path_is_known_by_its_template(#[case] path: &str, #[case] known: bool) {
        assert_eq!(is_known(path), known);
    }
}
