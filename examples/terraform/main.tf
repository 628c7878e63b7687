# Enrolment by invitation: who follows an invitation's link becomes a guest once their address is confirmed.

terraform {
  required_version = ">= 1.6"
  required_providers {
    authentik = {
      source  = "goauthentik/authentik"
      version = ">= 2025.12"
    }
  }
}

provider "authentik" {} # AUTHENTIK_URL and AUTHENTIK_TOKEN

variable "name" {
  description = "What the flow and the guests' group are called, and what other names begin with: a slug."
  type        = string
  default     = "guests"
}

variable "title" {
  description = "What a browser shows above the flow's pages."
  type        = string
  default     = "Welcome"
}

resource "authentik_flow" "enrollment" {
  name           = var.name
  slug           = var.name
  title          = var.title
  designation    = "enrollment"
  authentication = "require_unauthenticated"
}

resource "authentik_group" "guests" {
  name       = var.name
  attributes = jsonencode({ invited = true })
}

resource "authentik_stage_invitation" "invited" {
  name = "${var.name}-invited"
}

resource "authentik_stage_user_write" "write" {
  name                     = "${var.name}-write"
  user_creation_mode       = "always_create"
  user_path_template       = "users/${var.name}"
  create_users_as_inactive = true
  create_users_group       = authentik_group.guests.id
}

resource "authentik_stage_email" "confirm" {
  name                     = "${var.name}-confirm"
  template                 = "email/account_confirmation.html"
  subject                  = "Confirm your address"
  token_expiry             = "hours=2"
  activate_user_on_success = true
}

resource "authentik_flow_stage_binding" "enrollment" {
  for_each = { # by order
    0  = authentik_stage_invitation.invited.id
    10 = authentik_stage_user_write.write.id
    20 = authentik_stage_email.confirm.id
  }

  target = authentik_flow.enrollment.uuid
  stage  = each.value
  order  = each.key
}

# Who may invite.

data "authentik_user" "host" {
  username = "akadmin"
}

resource "authentik_rbac_role" "hosts" {
  name = "${var.name}-hosts"
}

resource "authentik_rbac_permission_role" "hosts" {
  for_each = toset(["add_invitation", "view_invitation", "delete_invitation"])

  role       = authentik_rbac_role.hosts.id
  permission = "authentik_stages_invitation.${each.key}"
}

resource "authentik_group" "hosts" {
  name  = "${var.name}-hosts"
  roles = [authentik_rbac_role.hosts.id]
  users = [data.authentik_user.host.id]
}

output "flow" {
  description = "The flow's key, which an invitation to it takes."
  value       = authentik_flow.enrollment.uuid
}

output "stages" {
  description = "The keys of the flow's stages, by order."
  value       = { for order, binding in authentik_flow_stage_binding.enrollment : order => binding.stage }
}

output "group" {
  description = "The key of the group that the guests come into."
  value       = authentik_group.guests.id
}
