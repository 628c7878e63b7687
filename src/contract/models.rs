//! The models whose permissions a role can be given, as authentik's API names them, and the names of permissions.

use drf::field::Choices;
use drf::permission::{Model, Verb};

use super::release::Release;

/// The models by their labels, in the order of authentik's document.
pub const MODELS: Choices = Choices {
    name: "ModelEnum",
    values: &[
        ("authentik_tenants.domain", "Domain"),
        ("authentik_core.group", "Group"),
        ("authentik_core.user", "User"),
        ("authentik_core.application", "Application"),
        ("authentik_core.applicationentitlement", "Application Entitlement"),
        ("authentik_core.token", "Token"),
        ("authentik_crypto.certificatekeypair", "Certificate-Key Pair"),
        ("authentik_endpoints.deviceuserbinding", "Device User binding"),
        ("authentik_endpoints.deviceaccessgroup", "Device access group"),
        ("authentik_endpoints.endpointstage", "Endpoint Stage"),
        ("authentik_endpoints_connectors_agent.agentconnector", "Agent Connector"),
        ("authentik_endpoints_connectors_agent.agentdeviceuserbinding", "agent device user binding"),
        ("authentik_endpoints_connectors_agent.enrollmenttoken", "Enrollment Token"),
        ("authentik_enterprise.license", "License"),
        ("authentik_events.event", "Event"),
        ("authentik_events.notificationtransport", "Notification Transport"),
        ("authentik_events.notification", "Notification"),
        ("authentik_events.notificationrule", "Notification Rule"),
        ("authentik_events.notificationwebhookmapping", "Webhook Mapping"),
        ("authentik_flows.flow", "Flow"),
        ("authentik_flows.flowstagebinding", "Flow Stage Binding"),
        ("authentik_outposts.dockerserviceconnection", "Docker Service-Connection"),
        ("authentik_outposts.kubernetesserviceconnection", "Kubernetes Service-Connection"),
        ("authentik_outposts.outpost", "Outpost"),
        ("authentik_policies_dummy.dummypolicy", "Dummy Policy"),
        ("authentik_policies_event_matcher.eventmatcherpolicy", "Event Matcher Policy"),
        ("authentik_policies_expiry.passwordexpirypolicy", "Password Expiry Policy"),
        ("authentik_policies_expression.expressionpolicy", "Expression Policy"),
        ("authentik_policies_geoip.geoippolicy", "GeoIP Policy"),
        ("authentik_policies_password.passwordpolicy", "Password Policy"),
        ("authentik_policies_reputation.reputationpolicy", "Reputation Policy"),
        ("authentik_policies.policybinding", "Policy Binding"),
        ("authentik_providers_ldap.ldapprovider", "LDAP Provider"),
        ("authentik_providers_oauth2.scopemapping", "Scope Mapping"),
        ("authentik_providers_oauth2.oauth2provider", "OAuth2/OpenID Provider"),
        ("authentik_providers_proxy.proxyprovider", "Proxy Provider"),
        ("authentik_providers_rac.racprovider", "RAC Provider"),
        ("authentik_providers_rac.endpoint", "RAC Endpoint"),
        ("authentik_providers_rac.racpropertymapping", "RAC Provider Property Mapping"),
        ("authentik_providers_radius.radiusprovider", "Radius Provider"),
        ("authentik_providers_radius.radiusproviderpropertymapping", "Radius Provider Property Mapping"),
        ("authentik_providers_saml.samlprovider", "SAML Provider"),
        ("authentik_providers_saml.samlpropertymapping", "SAML Provider Property Mapping"),
        ("authentik_providers_scim.scimprovider", "SCIM Provider"),
        ("authentik_providers_scim.scimmapping", "SCIM Provider Mapping"),
        ("authentik_rbac.role", "Role"),
        ("authentik_rbac.initialpermissions", "Initial Permissions"),
        ("authentik_sources_kerberos.kerberossource", "Kerberos Source"),
        ("authentik_sources_kerberos.kerberossourcepropertymapping", "Kerberos Source Property Mapping"),
        ("authentik_sources_kerberos.userkerberossourceconnection", "User Kerberos Source Connection"),
        ("authentik_sources_kerberos.groupkerberossourceconnection", "Group Kerberos Source Connection"),
        ("authentik_sources_ldap.ldapsource", "LDAP Source"),
        ("authentik_sources_ldap.ldapsourcepropertymapping", "LDAP Source Property Mapping"),
        ("authentik_sources_ldap.userldapsourceconnection", "User LDAP Source Connection"),
        ("authentik_sources_ldap.groupldapsourceconnection", "Group LDAP Source Connection"),
        ("authentik_sources_oauth.oauthsource", "OAuth Source"),
        ("authentik_sources_oauth.oauthsourcepropertymapping", "OAuth Source Property Mapping"),
        ("authentik_sources_oauth.useroauthsourceconnection", "User OAuth Source Connection"),
        ("authentik_sources_oauth.groupoauthsourceconnection", "Group OAuth Source Connection"),
        ("authentik_sources_plex.plexsource", "Plex Source"),
        ("authentik_sources_plex.plexsourcepropertymapping", "Plex Source Property Mapping"),
        ("authentik_sources_plex.userplexsourceconnection", "User Plex Source Connection"),
        ("authentik_sources_plex.groupplexsourceconnection", "Group Plex Source Connection"),
        ("authentik_sources_saml.samlsource", "SAML Source"),
        ("authentik_sources_saml.samlsourcepropertymapping", "SAML Source Property Mapping"),
        ("authentik_sources_saml.usersamlsourceconnection", "User SAML Source Connection"),
        ("authentik_sources_saml.groupsamlsourceconnection", "Group SAML Source Connection"),
        ("authentik_sources_scim.scimsource", "SCIM Source"),
        ("authentik_sources_scim.scimsourcepropertymapping", "SCIM Source Property Mapping"),
        ("authentik_sources_telegram.telegramsource", "Telegram Source"),
        ("authentik_sources_telegram.telegramsourcepropertymapping", "Telegram Source Property Mapping"),
        ("authentik_sources_telegram.usertelegramsourceconnection", "User Telegram Source Connection"),
        ("authentik_sources_telegram.grouptelegramsourceconnection", "Group Telegram Source Connection"),
        ("authentik_stages_authenticator_duo.authenticatorduostage", "Duo Authenticator Setup Stage"),
        ("authentik_stages_authenticator_duo.duodevice", "Duo Device"),
        ("authentik_stages_authenticator_email.authenticatoremailstage", "Email Authenticator Setup Stage"),
        ("authentik_stages_authenticator_email.emaildevice", "Email Device"),
        ("authentik_stages_authenticator_sms.authenticatorsmsstage", "SMS Authenticator Setup Stage"),
        ("authentik_stages_authenticator_sms.smsdevice", "SMS Device"),
        (
            "authentik_stages_authenticator_static.authenticatorstaticstage",
            "Static Authenticator Setup Stage",
        ),
        ("authentik_stages_authenticator_static.staticdevice", "Static Device"),
        ("authentik_stages_authenticator_totp.authenticatortotpstage", "TOTP Authenticator Setup Stage"),
        ("authentik_stages_authenticator_totp.totpdevice", "TOTP Device"),
        (
            "authentik_stages_authenticator_validate.authenticatorvalidatestage",
            "Authenticator Validation Stage",
        ),
        (
            "authentik_stages_authenticator_webauthn.authenticatorwebauthnstage",
            "WebAuthn Authenticator Setup Stage",
        ),
        ("authentik_stages_authenticator_webauthn.webauthndevice", "WebAuthn Device"),
        ("authentik_stages_captcha.captchastage", "Captcha Stage"),
        ("authentik_stages_consent.consentstage", "Consent Stage"),
        ("authentik_stages_deny.denystage", "Deny Stage"),
        ("authentik_stages_dummy.dummystage", "Dummy Stage"),
        ("authentik_stages_email.emailstage", "Email Stage"),
        ("authentik_stages_identification.identificationstage", "Identification Stage"),
        ("authentik_stages_invitation.invitationstage", "Invitation Stage"),
        ("authentik_stages_invitation.invitation", "Invitation"),
        ("authentik_stages_password.passwordstage", "Password Stage"),
        ("authentik_stages_prompt.prompt", "Prompt"),
        ("authentik_stages_prompt.promptstage", "Prompt Stage"),
        ("authentik_stages_redirect.redirectstage", "Redirect Stage"),
        ("authentik_stages_user_delete.userdeletestage", "User Delete Stage"),
        ("authentik_stages_user_login.userloginstage", "User Login Stage"),
        ("authentik_stages_user_logout.userlogoutstage", "User Logout Stage"),
        ("authentik_stages_user_write.userwritestage", "User Write Stage"),
        ("authentik_tasks_schedules.schedule", "Schedule"),
        ("authentik_brands.brand", "Brand"),
        ("authentik_blueprints.blueprintinstance", "Blueprint Instance"),
        ("authentik_endpoints_connectors_fleet.fleetconnector", "Fleet Connector"),
        ("authentik_endpoints_connectors_google_chrome.googlechromeconnector", "Google Chrome Connector"),
        ("authentik_lifecycle.lifecyclerule", "Lifecycle Rule"),
        ("authentik_lifecycle.lifecycleiteration", "Lifecycle Iteration"),
        ("authentik_lifecycle.review", "Review"),
        ("authentik_policies_unique_password.uniquepasswordpolicy", "Password Uniqueness Policy"),
        ("authentik_providers_google_workspace.googleworkspaceprovider", "Google Workspace Provider"),
        (
            "authentik_providers_google_workspace.googleworkspaceprovidermapping",
            "Google Workspace Provider Mapping",
        ),
        ("authentik_providers_microsoft_entra.microsoftentraprovider", "Microsoft Entra Provider"),
        (
            "authentik_providers_microsoft_entra.microsoftentraprovidermapping",
            "Microsoft Entra Provider Mapping",
        ),
        ("authentik_providers_ssf.ssfprovider", "Shared Signals Framework Provider"),
        ("authentik_providers_ws_federation.wsfederationprovider", "WS-Federation Provider"),
        ("authentik_reports.dataexport", "Data Export"),
        ("authentik_stages_account_lockdown.accountlockdownstage", "Account Lockdown Stage"),
        (
            "authentik_stages_authenticator_endpoint_gdtc.authenticatorendpointgdtcstage",
            "Endpoint Authenticator Google Device Trust Connector Stage",
        ),
        ("authentik_stages_mtls.mutualtlsstage", "Mutual TLS Stage"),
        ("authentik_stages_source.sourcestage", "Source Stage"),
    ],
    since: &[
        ("authentik_endpoints_connectors_fleet.fleetconnector", Release::V2026_2.api()),
        ("authentik_endpoints_connectors_google_chrome.googlechromeconnector", Release::V2026_5.api()),
        ("authentik_lifecycle.lifecyclerule", Release::V2026_2.api()),
        ("authentik_lifecycle.lifecycleiteration", Release::V2026_2.api()),
        ("authentik_lifecycle.review", Release::V2026_2.api()),
        ("authentik_providers_ws_federation.wsfederationprovider", Release::V2026_2.api()),
        ("authentik_stages_account_lockdown.accountlockdownstage", Release::V2026_5.api()),
    ],
};

/// Permissions beside Django's four that have a name of their own.
const NAMED: [(&str, &str); 8] = [
    ("add_user_to_group", "Add user to group"),
    ("assign_role_permissions", "Can assign permissions to roles"),
    ("disable_group_superuser", "Disable superuser status"),
    ("enable_group_superuser", "Enable superuser status"),
    ("remove_user_from_group", "Remove user from group"),
    ("set_token_key", "Set a token's key"),
    ("unassign_role_permissions", "Can unassign permissions from roles"),
    ("view_token_key", "View token's key"),
];

/// The name of a permission, as Django makes it.
pub fn permission_name(model: &Model, codename: &str) -> String {
    if let Some((_, name)) = NAMED.iter().find(|(named, _)| *named == codename) {
        return (*name).to_owned();
    }
    match Verb::ALL.into_iter().find(|verb| model.codename(*verb) == codename) {
        Some(verb) => format!("Can {} {}", verb.word(), verbose_name(model)),
        None => format!("Can {}", codename.replace('_', " ")),
    }
}

/// What people call a model.
fn verbose_name(model: &Model) -> &'static str {
    let label = model.label();
    let known = MODELS.values.iter().find(|(value, _)| *value == label);
    known.map_or(model.model, |(_, name)| name)
}

/// What people call an app of authentik's; none for those of which nothing is served here.
pub fn app_name(app_label: &str) -> Option<&'static str> {
    Some(match app_label {
        "authentik_core" => "authentik Core",
        "authentik_flows" => "authentik Flows",
        "authentik_rbac" => "authentik RBAC",
        "authentik_stages_email" => "authentik Stages.Email",
        "authentik_stages_invitation" => "authentik Stages.Invitation",
        "authentik_stages_user_write" => "authentik Stages.User Write",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_have_the_names_that_django_gives_them() {
        let group = Model { app_label: "authentik_core", name: "Group", model: "group" };
        assert_eq!(permission_name(&group, "view_group"), "Can view Group");
        assert_eq!(permission_name(&group, "add_user_to_group"), "Add user to group");
        let stage = Model { app_label: "authentik_stages_email", name: "EmailStage", model: "emailstage" };
        assert_eq!(permission_name(&stage, "delete_emailstage"), "Can delete Email Stage");
        let stage = Model { app_label: "authentik_flows", name: "Stage", model: "stage" };
        assert_eq!(permission_name(&stage, "add_stage"), "Can add stage");
    }

    #[test]
    fn a_release_knows_the_models_of_those_before_it() {
        let count = |release: Release| MODELS.of(release.api()).count();
        assert_eq!([Release::V2025_12, Release::V2026_2, Release::V2026_5].map(count), [115, 120, 122]);
    }
}
