# What another configuration finds under the names that this one gives.

terraform {
  required_providers {
    authentik = {
      source = "goauthentik/authentik"
    }
  }
}

variable "name" {
  type = string
}

data "authentik_flow" "enrollment" {
  slug        = var.name
  designation = "enrollment"
}

data "authentik_stage" "confirm" {
  name = "${var.name}-confirm"
}

data "authentik_group" "hosts" {
  name = "${var.name}-hosts"
}

data "authentik_groups" "all" {
  search        = var.name
  ordering      = "name"
  include_users = false
}

output "flow" {
  value = data.authentik_flow.enrollment.id
}

output "last_stage" {
  value = data.authentik_stage.confirm.id
}

output "hosts" {
  value = data.authentik_group.hosts.users_obj[*].username
}

output "groups" {
  value = data.authentik_groups.all.groups[*].name
}
